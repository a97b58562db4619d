#!/usr/bin/env python3
"""Tests the page of `combiner serve` in headless Chromium.

Usage: page_test.py PROGRAM
"""

import os
import shutil
import sys
import tempfile
import unittest

from serving import HEIGHT, SECONDS, WIDTH, Server, encoded

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)
for needed in ("chromium", "chromedriver"):
    if not shutil.which(needed):
        print(f"skipped: no {needed}")
        sys.exit(0)

import numpy as np
import png_numpy

PROGRAM = sys.argv.pop(1)

PIXELS_OF = """
const {width, height} = arguments[0];
const data = arguments[0].getContext("2d").getImageData(0, 0, width, height).data;
return Array.from(data).filter((_, i) => i % 4 != 3);
"""
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server(PROGRAM, "--threads", "1"))
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        leftovers = cls.enterClassContext(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        service = Service(shutil.which("chromedriver"), env={**os.environ, "TMPDIR": leftovers})
        cls.browser = webdriver.Chrome(options=options, service=service)
        cls.addClassCleanup(cls.browser.quit)

    def tearDown(self):
        self.assertEqual([entry["message"] for entry in self.browser.get_log("browser")
                          if entry["level"] == "SEVERE"
                          and "Failed to load resource" not in entry["message"]], [])

    def by(self, name):
        return self.browser.find_element(By.ID, name)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        WebDriverWait(self.browser, SECONDS, 0.02).until(lambda _: condition())

    def begin(self, server, hash):
        self.browser.get("about:blank")
        self.browser.get(f"http://127.0.0.1:{server.port}/#{hash}")

    def open(self, hash="seed=3&count=4&precision=f32"):
        self.begin(self.server, hash)
        self.wait(lambda: "images/s" in self.by("status").text)

    def pixels(self, selector):
        return [np.array(self.browser.execute_script(PIXELS_OF, canvas), np.uint8)
                .reshape(HEIGHT, WIDTH, 3) for canvas in self.all(selector)]

    def press(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)

    def tab_to(self, found):
        for _ in range(40):
            if found(self.browser.switch_to.active_element):
                return
            self.press(Keys.TAB)
        self.fail("the keyboard does not get there")

    def test_it_draws_what_sample_draws_and_a_link_draws_it_again(self):
        self.open("")
        self.assertEqual(len(self.all("#sheet canvas")), 16)
        address, first = self.browser.current_url, self.pixels("#sheet canvas")
        self.open(address.partition("#")[2])
        np.testing.assert_array_equal(self.pixels("#sheet canvas"), first)
        self.open()
        np.testing.assert_array_equal(
            self.pixels("#sheet canvas"),
            self.server.draws("sample", "-n", 4, "--seed", 3, "--precision", "f32"))

    def test_with_the_keyboard_alone_a_picture_is_completed(self):
        self.open()
        self.tab_to(lambda element: element.get_attribute("aria-label") ==
                    "Image 1 of seed 3: measure it, or keep its upper part")
        self.press(Keys.ENTER)
        self.wait(lambda: self.by("bench").is_displayed())
        self.assertEqual(self.browser.switch_to.active_element, self.by("handle"))
        self.press(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
        self.assertEqual(self.by("handle").get_attribute("aria-valuetext"), f"3 of {HEIGHT} rows kept")
        self.tab_to(lambda element: element == self.by("complete"))
        self.press(Keys.ENTER)
        self.wait(lambda: "images/s" in self.by("bench-status").text)
        self.assertIn("image=1&keep=3&ways=4", self.browser.current_url)
        drawn = self.pixels("#variations canvas")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "picture.png")
            png_numpy.write(path, self.pixels("#sheet canvas")[1])
            expected = self.server.draws("complete", path, "--keep-rows", 3, "-n", 4, "--seed", 3,
                                         "--precision", "f32")
        np.testing.assert_array_equal(drawn, expected)
        address = self.browser.current_url
        self.press(Keys.ESCAPE)
        self.wait(lambda: not self.by("bench").is_displayed())
        self.assertIn("Image 1 of seed 3",
                      self.browser.switch_to.active_element.get_attribute("aria-label"))
        # The link leads to the completions.
        self.open(address.partition("#")[2])
        self.wait(lambda: "images/s" in self.by("bench-status").text)
        np.testing.assert_array_equal(self.pixels("#variations canvas"), expected)

    def test_a_picture_that_is_dropped_is_measured_and_completed(self):
        self.open()
        pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "own.png")
            png_numpy.write(path, pixels)
            with open(path, "rb") as file:
                png = file.read()
            coded = encoded(png)
            job = self.server.start("/v1/likelihoods", {"pictures": [coded]})
            bits = self.server.wait(job)["images"][0]["bits_per_dim"]
            for give in (lambda: self.browser.execute_script(DROP, coded),
                         lambda: self.by("file").send_keys(path)):
                give()
                self.wait(lambda: self.by("measured").is_displayed())
                self.assertEqual(self.by("bits").text, f"{bits:.2f}")
                np.testing.assert_array_equal(self.pixels("#picture-canvas")[0], pixels)
                self.wait(lambda: self.browser.execute_script(
                    "return document.getElementById('map').naturalWidth > 0"))
                self.by("complete").click()
                self.wait(lambda: "images/s" in self.by("bench-status").text)
                for variation in self.pixels("#variations canvas"):
                    np.testing.assert_array_equal(variation[: HEIGHT // 2], pixels[: HEIGHT // 2])
                self.by("close").click()
                self.wait(lambda: not self.by("bench").is_displayed())

    def test_the_line_is_dragged(self):
        self.open()
        self.all("#sheet button")[0].click()
        actions = webdriver.ActionChains(self.browser)
        height = self.by("picture").size["height"]
        actions.click_and_hold(self.by("handle")).move_by_offset(0, -height // 4).release().perform()
        self.assertEqual(self.by("handle").get_attribute("aria-valuenow"), str(HEIGHT // 4))

    def test_a_refusal_is_shown(self):
        self.open()
        self.browser.execute_script("document.getElementById('model').replaceChildren(new Option('gone'));"
                                    "models.push({...models[0], name: 'gone'})")
        self.by("draw").click()
        self.wait(lambda: "there is no model" in self.by("status").text)

    def test_a_seed_that_is_no_number_is_refused(self):
        for seed in ("abc", "1.5", "-1"):
            self.begin(self.server, f"seed={seed}")
            self.wait(lambda: "The seed must be a whole number" in self.by("status").text)

    def test_a_link_that_can_not_be_drawn_says_why(self):
        for hash, why in (("model=none&seed=3", "does not have the model of the link"),
                          ("count=100000&seed=3", "Images: "), ("top_p=7&seed=3", "Top p: ")):
            self.begin(self.server, hash)
            self.wait(lambda: why in self.by("status").text)
            self.assertEqual(self.all("#sheet canvas"), [])
            self.assertFalse(self.by("stop").is_enabled())
            self.assertFalse(self.by("save").is_enabled())
            self.assertIn(hash, self.browser.current_url)

    def test_without_the_key_nothing_seems_to_be_drawn(self):
        key = "an-unguessable-key-of-this-test"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(key + "\n")
            file.flush()
            server = self.enterContext(
                Server(PROGRAM, "--threads", "1", "--api-key-file", file.name))
            self.begin(server, "seed=3&count=4")
            self.wait(lambda: self.by("key").is_displayed())
            self.browser.execute_script(DROP, encoded(b"no matter"))
            self.wait(lambda: "If it wants a key" in self.by("status").text)
            self.by("draw").click()  # asks for the models again
            self.wait(lambda: "If it wants a key" not in self.by("status").text)
            self.by("key").send_keys(key, Keys.TAB)
            self.wait(lambda: "images/s" in self.by("status").text)
            self.assertEqual(len(self.all("#sheet canvas")), 4)

    def test_it_fits_a_narrow_window_in_both_colours(self):
        papers = set()
        for scheme in ("light", "dark"):
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": scheme}]})
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False})
            self.open()
            wide = "return document.scrollingElement.scrollWidth"
            self.assertLessEqual(self.browser.execute_script(wide), 400)
            self.all("#sheet button")[0].click()
            self.assertLessEqual(self.browser.execute_script(wide), 400)
            papers.add(self.by("bench").value_of_css_property("background-color"))
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.assertEqual(len(papers), 2)

    def test_rows_appear_before_the_job_ends(self):
        with Server(PROGRAM, "--threads", "1", height=64, width=64) as server:
            self.begin(server, "count=256")
            self.wait(lambda: self.browser.execute_script(
                "return document.documentElement.dataset.firstRow"))
            self.assertGreater(server.metric("images_active"), 0)
            self.browser.get("about:blank")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Tests of the HTTP interface of `combiner serve`, by a plain client.

Usage: interface_test.py PROGRAM
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import serving
from serving import HEIGHT, SECONDS, WIDTH, Server, encoded, server_seconds

import numpy as np
import png_numpy

PROGRAM = sys.argv.pop(1)
FIELDS = {"seed": 7, "temperature": 0.8, "top_k": 200, "top_p": 0.9, "precision": "f32"}
OPTIONS = ["--seed", 7, "--temperature", 0.8, "--top-k", 200, "--top-p", 0.9, "--precision", "f32"]


def picture(folder, seed=1, height=HEIGHT, width=WIDTH):
    """Returns a picture's path, bytes and pixels."""
    path = os.path.join(folder, f"{seed}.png")
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    png_numpy.write(path, pixels)
    with open(path, "rb") as file:
        return path, file.read(), pixels


def claims_to_be(height, width):
    """Small files in several formats whose headers claim this size."""
    jpeg = (b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) +
            b"\x03\x01\x11\0\x02\x11\0\x03\x11\0" +
            b"\xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\x3f\0" + b"\xff\xd9")
    bmp = (b"BM" + struct.pack("<IIIIiiHH", 154, 0, 54, 40, width, height, 1, 24) +
           bytes(24) + bytes(100))
    webp = b"VP8L" + struct.pack("<IBI", 100, 0x2f, (width - 1) | (height - 1) << 14) + bytes(95)
    tiff = b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in
        ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1),
         (278, height), (279, height * width))) + bytes(4)
    return [jpeg, bmp, tiff, b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp,
            b"P6\n%d %d\n255\n" % (width, height)]


class Interface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server(PROGRAM, "--threads", "2"))

    def check_pixels(self, job, expected):
        for index, pixels in enumerate(expected):
            np.testing.assert_array_equal(self.server.pixels(job, index), pixels)

    def test_samples_are_those_of_sample(self):
        job = self.server.start("/v1/samples", {"count": 5, "first": 3, **FIELDS})
        found = self.server.wait(job)
        self.assertEqual(found["images_done"], 5)
        self.check_pixels(job, self.server.draws("sample", "-n", 5, "--first", 3, *OPTIONS))

    def test_the_automatic_precision_is_that_of_sample(self):
        job = self.server.start("/v1/samples", {"count": 2, "seed": 1})
        self.server.wait(job)
        self.check_pixels(job, self.server.draws("sample", "-n", 2, "--seed", 1))

    def test_completions_are_those_of_complete(self):
        with tempfile.TemporaryDirectory() as folder:
            path, png, _ = picture(folder)
            job = self.server.start("/v1/completions", {"picture": encoded(png), "keep_rows": 3,
                                                        "count": 3, **FIELDS})
            self.server.wait(job)
            self.check_pixels(job, self.server.draws("complete", path, "--keep-rows", 3, "-n", 3,
                                                     *OPTIONS))

    def test_events_have_every_row_and_go_on_after_the_last_one_seen(self):
        job = self.server.start("/v1/samples", {"count": 3, "seed": 2})
        events = self.server.events(job)
        self.assertEqual([number for number, _, _ in events], list(range(1, 3 * (HEIGHT + 1) + 2)))
        drawn = np.zeros((3, HEIGHT, WIDTH, 3), np.uint8)
        for _, kind, data in events:
            if kind == "row":
                row = np.frombuffer(serving.base64.b64decode(data["pixels"]), np.uint8)
                drawn[data["image"], data["row"]] = row.reshape(WIDTH, 3)
        self.check_pixels(job, drawn)
        self.assertEqual(events[-1][1:], ("end", {"id": job, "kind": "samples", "state": "done",
                                                  "images_done": 3}))
        for after in (0, 5, len(events) - 1):
            self.assertEqual(self.server.events(job, after), events[after:])

    def test_likelihoods_are_those_of_eval(self):
        with tempfile.TemporaryDirectory() as folder:
            pictures = [picture(folder, seed) for seed in (1, 2)]
            job = self.server.start("/v1/likelihoods",
                                    {"pictures": [encoded(png) for _, png, _ in pictures],
                                     "precision": "f32"})
            found = self.server.wait(job)
            maps = os.path.join(self.server.folder.name, "maps")
            told = subprocess.run([PROGRAM, "eval", "--model", self.server.models[0], "--data",
                                   folder, "--precision", "f32", "--maps", maps, "--json"],
                                  check=True, capture_output=True, text=True)
            bits = [image["bits_per_dim"] for image in found["images"]]
            self.assertAlmostEqual(np.mean(bits), json.loads(told.stdout)["bits_per_dim"], 4)
            self.check_pixels(job, [png_numpy.read(os.path.join(maps, f"map-{i:05}.png"))
                                    for i in range(2)])

    def test_what_is_compressed_is_what_compress_makes_and_comes_back(self):
        with tempfile.TemporaryDirectory() as folder:
            pictures = [picture(folder, 1), picture(folder, 2, 11, 17)]
            job = self.server.start("/v1/compress", {"pictures": [
                {"data": encoded(png), "name": os.path.basename(path)}
                for path, png, _ in pictures]})
            self.server.wait(job)
            packed = self.server.ask("GET", f"/v1/jobs/{job}/file")[2]
            own = os.path.join(folder, "own.cmb")
            subprocess.run([PROGRAM, "compress", "--model", self.server.models[0], "-o", own,
                            *(path for path, _, _ in pictures)], check=True, capture_output=True)
            with open(own, "rb") as file:
                self.assertEqual(packed, file.read())
            job = self.server.start("/v1/decompress", {"file": encoded(packed)})
            found = self.server.wait(job)
            self.assertEqual([image["name"] for image in found["images"]], ["1.png", "2.png"])
            self.check_pixels(job, [pixels for _, _, pixels in pictures])
            damaged = bytearray(packed)
            damaged[len(damaged) // 2] ^= 1
            self.refused("POST", "/v1/decompress", 422, {"file": encoded(bytes(damaged))})

    def test_a_png_says_how_it_was_made(self):
        job = self.server.start("/v1/samples", {"count": 2, **FIELDS})
        self.server.wait(job)
        with tempfile.TemporaryDirectory() as folder:
            path, again = (os.path.join(folder, name) for name in ("one.png", "again.png"))
            with open(path, "wb") as file:
                file.write(self.server.ask("GET", f"/v1/jobs/{job}/images/1.png")[2])
            subprocess.run([PROGRAM, "sample", "--like", path, "--model", self.server.models[0],
                            "-o", again, "--scale", "1"], check=True, capture_output=True)
            np.testing.assert_array_equal(png_numpy.read(path), png_numpy.read(again))

    def test_a_cancelled_job_ends(self):
        with Server(PROGRAM, "--threads", "1", height=64, width=64) as server:
            job = server.start("/v1/samples", {"count": 100})
            server.events(job, most=3)
            self.assertEqual(server.json("DELETE", f"/v1/jobs/{job}")["state"], "cancelled")
            self.assertEqual(server.events(job)[-1][1], "end")
            self.assertEqual(server.json("DELETE", f"/v1/jobs/{job}")["state"], "cancelled")
            self.assertEqual(server.ask("GET", f"/v1/jobs/{job}/images/99.png")[0], 409)
            deadline = time.monotonic() + serving.SECONDS
            while server.metric("images_active") + server.metric("work_waiting") > 0:
                self.assertLess(time.monotonic(), deadline)

    def test_the_queue_is_limited(self):
        with Server(PROGRAM, "--threads", "1", "--queue", "2", height=64, width=64) as server:
            jobs = [server.start("/v1/samples", {"count": 50}) for _ in range(2)]
            status, headers, body = server.ask("POST", "/v1/samples", {})
            self.assertEqual((status, json.loads(body)["error"]["code"]), (429, "queue_full"))
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            for job in jobs:
                server.json("DELETE", f"/v1/jobs/{job}")
            server.start("/v1/samples", {})

    def test_ctrl_c_tells_followers_and_waits_for_nobody(self):
        server = Server(PROGRAM, "--threads", "1", height=64, width=64)
        with server:
            job = server.start("/v1/samples", {"count": 200})
            connection = server.connect()
            connection.request("GET", f"/v1/jobs/{job}/events")
            response = connection.getresponse()
            response.readline()
            idle = socket.create_connection(("127.0.0.1", server.port))
            stuck = socket.create_connection(("127.0.0.1", server.port))
            stuck.sendall(b"GET / HTTP/1.1\r\nHost")
        self.assertIn(b"event: end\n", response.read())
        connection.close()
        # Before the server would give up either of them.
        self.assertLess(server.seconds_to_end, server_seconds("kHeadTime"))
        idle.close()
        stuck.close()

    def test_several_models_are_served_by_name(self):
        server = Server(PROGRAM, "--threads", "2")
        server.models.append(server.make_model("other", 5, 4))
        with server:
            names = [model["name"] for model in server.json("GET", "/v1/models")["models"]]
            self.assertEqual(names, ["tiny", "other"])
            jobs = {name: server.start("/v1/samples", {"model": name, "count": 4, "seed": 1})
                    for name in names}
            for job in jobs.values():
                server.wait(job)
            self.assertEqual(server.pixels(jobs["tiny"], 0).shape, (HEIGHT, WIDTH, 3))
            self.assertEqual(server.pixels(jobs["other"], 0).shape, (5, 4, 3))

    def refused(self, method, path, status, body=None, headers=()):
        got, answered, data = self.server.ask(method, path, body, headers)
        self.assertEqual(got, status, (method, path, data))
        error = json.loads(data)["error"]
        self.assertEqual(sorted(error), ["code", "hint", "message"])
        self.assertTrue(error["message"])
        self.assertEqual(answered["X-Content-Type-Options"], "nosniff")
        return error

    def test_errors_by_their_status(self):
        with tempfile.TemporaryDirectory() as folder:
            png = encoded(picture(folder)[1])
            cut = encoded(picture(folder)[1][:-30])
            large = encoded(picture(folder, 3, 20, 20)[1])
            tiles = encoded(picture(folder, 4, 1, 1025 * WIDTH)[1])
        for body in ("", "{", "[1", '{"count": 1, "count": 2}', "\xff", "[" * 100000):
            self.refused("POST", "/v1/samples", 400, body or " ")
        for body in ([], {"count": 0}, {"count": 257}, {"count": 1.5}, {"count": "1"},
                     {"seed": -1}, {"seed": 2**64}, {"temperature": -1}, {"temperature": "x"},
                     {"top_k": 0}, {"top_p": 0}, {"top_p": 2}, {"precision": "f64"},
                     {"batch": 3}, {"first": -1}):
            self.refused("POST", "/v1/samples", 422, body)
        for body in ({}, {"picture": "?"}, {"picture": encoded(b"no picture")},
                     {"picture": png, "keep_rows": HEIGHT}, {"picture": large}):
            self.refused("POST", "/v1/completions", 422, body)
        error = self.refused("POST", "/v1/likelihoods", 422, {"pictures": [png, large]})
        self.assertEqual(error["message"], "pictures[1]: is 20x20 pixels; expected 6x8, the "
                                           "model's size")
        for wrong, found in ("?", '"?"'), (None, "null"), ({"data": png}, '{"data":'):
            error = self.refused("POST", "/v1/likelihoods", 422, {"pictures": [png, wrong]})
            self.assertIn(f"pictures[1] is {found}", error["message"])
        error = self.refused("POST", "/v1/compress", 422, {"pictures": ["x"]})
        self.assertEqual(error["message"], 'pictures[0] is "x"; expected an object')
        error = self.refused("POST", "/v1/likelihoods", 422, {"pictures": [cut]})
        self.assertIn("damaged", error["message"])
        self.assertIn("send a whole file", error["hint"])
        for body in ({}, {"pictures": []}, {"pictures": [{"data": png, "name": "../x"}]},
                     {"pictures": [{"data": png, "name": "x"}] * 2}):
            self.refused("POST", "/v1/compress", 422, body)
        self.refused("POST", "/v1/decompress", 422, {"file": encoded(b"no such file")})
        self.refused("POST", "/v1/samples", 404, {"model": "/etc/passwd"})
        for path in ("/v1/jobs/" + "0" * 32, "/v1/jobs/../models", "/etc/passwd",
                     "/%2e%2e/%2e%2e/etc/passwd", f"/v1/jobs/{'0' * 32}/images/0.png"):
            self.refused("GET", path, 404)
        job = self.server.start("/v1/samples", {})
        self.server.wait(job)
        self.refused("GET", f"/v1/jobs/{job}/images/1.png", 404)
        self.refused("GET", f"/v1/jobs/{job}/file", 409)
        for method, path in ("PUT", "/v1/samples"), ("GET", "/v1/samples"), ("POST", "/health"):
            self.refused(method, path, 405)
        error = self.refused("GET", "/v1/samples", 405)
        self.assertEqual(error["message"], "this address doesn't take GET")
        self.assertEqual(error["hint"], "use POST")
        self.refused("POST", "/v1/samples", 415, "{}", {"Content-Type": "text/plain"})
        self.refused("POST", "/v1/samples", 413, b"x" * ((16 << 20) + 1))
        self.refused("POST", "/v1/likelihoods", 413, {"pictures": [png] * 257})
        huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0" + b"\0" * 99
        self.refused("POST", "/v1/likelihoods", 413, {"pictures": [encoded(huge)]})
        error = self.refused("POST", "/v1/compress", 413, {"pictures": [{"data": tiles}]})
        self.assertIn("more than 1024 tiles", error["message"])
        for claim in claims_to_be(5000, 5000):
            error = self.refused("POST", "/v1/likelihoods", 413, {"pictures": [encoded(claim)]})
            self.assertIn("is too large", error["message"])
        self.refused("GET", "/" + "a" * 2000, 414)
        self.refused("GET", "/health", 431, headers={"X": "a" * 9000})

    def test_foreign_pages_are_refused(self):
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"},
                        {"Origin": "null"}):
            self.refused("GET", "/v1/models", 403, headers=headers)
            self.refused("POST", "/v1/samples", 403, {}, headers)
        own = f"http://127.0.0.1:{self.server.port}"
        self.server.json("GET", "/v1/models", headers={"Origin": own})

    def test_clients_that_take_too_long_are_cut_off(self):
        begin = b"POST /v1/samples HTTP/1.1\r\nHost: localhost\r\n"
        body = b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
        with Server(PROGRAM, "--threads", "1") as server:
            cut_off = {}
            began = time.monotonic()

            def drip(name, text):
                with socket.create_connection(("127.0.0.1", server.port), SECONDS) as client:
                    client.sendall(text)
                    client.settimeout(0.2)
                    while name not in cut_off and time.monotonic() - began < SECONDS:
                        try:
                            client.sendall(b" ")
                            while client.recv(1000):
                                pass
                            cut_off[name] = time.monotonic() - began
                        except TimeoutError:
                            pass
                        except OSError:
                            cut_off[name] = time.monotonic() - began

            slow = [threading.Thread(target=drip, args=arguments)
                    for arguments in (("kHeadTime", begin), ("kBodyTime", begin + body))]
            for client in slow:
                client.start()
            for client in slow:
                client.join()
            for name, seconds in cut_off.items():
                self.assertGreaterEqual(seconds, server_seconds(name) - 1)
            self.assertEqual(set(cut_off), {"kHeadTime", "kBodyTime"})
            self.assertLess(cut_off["kHeadTime"], cut_off["kBodyTime"])
            server.json("GET", "/health")

    def test_others_need_the_key(self):
        key = "an-unguessable-key-of-this-test"
        refused = subprocess.run([PROGRAM, "serve", "--host", "0.0.0.0", "--port", "0"],
                                 capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--api-key-file", refused.stderr)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(key + "\n")
            file.flush()
            with Server(PROGRAM, "--host", "0.0.0.0", "--api-key-file", file.name) as server:
                for given in (None, "Bearer ", "Bearer " + key[:-1], key):
                    headers = {"Authorization": given} if given else {}
                    status, answered, _ = server.ask("GET", "/v1/models", headers=headers)
                    self.assertEqual((status, answered["WWW-Authenticate"]), (401, "Bearer"))
                server.json("GET", "/v1/models", headers={"Authorization": "Bearer " + key})
                self.assertEqual(server.ask("GET", "/")[0], 200)
                self.assertEqual(server.json("GET", "/health"), {"status": "ok"})

    def test_a_port_that_is_taken_is_an_error(self):
        taken = subprocess.run([PROGRAM, "serve", "--port", str(self.server.port), "--model",
                                self.server.models[0]], capture_output=True, text=True)
        self.assertEqual(taken.returncode, 1)
        self.assertIn(f"can't listen at 127.0.0.1 port {self.server.port}: ", taken.stderr)

    def test_a_host_without_an_address_is_an_error(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("an-unguessable-key-of-this-test\n")
            file.flush()
            unknown = subprocess.run([PROGRAM, "serve", "--host", "no.such.host.invalid",
                                      "--api-key-file", file.name, "--model",
                                      self.server.models[0]], capture_output=True, text=True)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("can't listen at no.such.host.invalid: there is no such address: ",
                      unknown.stderr)

    def test_it_ends_if_asked_to_at_once(self):
        for _ in range(4):
            with serving.Server(PROGRAM, models=self.server.models):
                pass  # Ctrl-C comes right after its address

    def test_a_connection_serves_many_requests(self):
        connection = self.server.connect()
        for _ in range(50):
            connection.request("GET", "/health", headers={"Range": "bytes=0-0"})
            response = connection.getresponse()
            self.assertEqual((response.status, response.read()), (200, b'{"status":"ok"}\n'))
        # A body that nobody reads is not taken for a request.
        connection.request("POST", "/nowhere", "GET /health HTTP/1.1\r\n\r\n",
                           {"Content-Type": "application/json"})
        self.assertEqual(connection.getresponse().read()[:9], b'{"error":')
        connection.close()

    def test_the_page_may_run_its_own_script_only(self):
        _, headers, body = self.server.ask("GET", "/")
        nonce = headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
        self.assertIn(f'<script nonce="{nonce}">'.encode(), body)
        self.assertNotIn(b"NONCE", body)
        again = self.server.ask("GET", "/")[1]["Content-Security-Policy"]
        self.assertNotIn(nonce, again)


if __name__ == "__main__":
    unittest.main()

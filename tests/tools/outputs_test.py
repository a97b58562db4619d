#!/usr/bin/env python3
"""Tests that no tool writes over what it reads."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

if importlib.util.find_spec("numpy") is None:
    print("skipped: there is no NumPy")
    sys.exit(0)

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
TEXT = "an input that must stay"


class Outputs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.input = self.path(folder.name, "input")
        self.soft, self.hard = self.path(folder.name, "soft"), self.path(folder.name, "hard")
        with open(self.input, "w") as file:
            file.write(TEXT)
        os.symlink(self.input, self.soft)
        os.link(self.input, self.hard)

    @staticmethod
    def path(*names):
        return os.path.join(*names)

    def assert_refused(self, tool, arguments, said="which is read; write elsewhere"):
        """`arguments` makes the arguments of the tool for an output."""
        for output in (self.input, self.soft, self.hard, self.path(".", self.input)):
            with self.subTest(tool=tool, output=output):
                run = subprocess.run([sys.executable, self.path(TOOLS, tool), *arguments(output)],
                                     capture_output=True, text=True)  # fmt: skip
                self.assertEqual(run.returncode, 2, run.stderr)
                self.assertIn(said, run.stderr)
                self.assertTrue(os.path.samefile(self.input, self.soft))
                self.assertTrue(os.path.samefile(self.input, self.hard))
                with open(self.input) as file:
                    self.assertEqual(file.read(), TEXT)

    def test_import_flax(self):
        self.assert_refused("import_flax.py",
                            lambda output: [self.input, "--image", "4x4", "-o", output])

    def test_plots(self):
        self.assert_refused("plot_cost.py", lambda output: [self.input, output])
        self.assert_refused("plot_training.py", lambda output: [self.input, output])
        self.assert_refused("plot_training.py", lambda output: ["absent.csv", self.input, output])
        self.assert_refused("plot_growing.py", lambda output: ["absent.png", self.input, output])

    def test_the_draft_of_a_plot(self):
        draft = self.input + ".draft.png"
        os.rename(self.input, draft)
        for tool in ("plot_cost.py", "plot_training.py"):
            run = subprocess.run([sys.executable, self.path(TOOLS, tool), draft, self.input],
                                 capture_output=True, text=True)  # fmt: skip
            self.assertEqual(run.returncode, 2, run.stderr)
            with open(draft) as file:
                self.assertEqual(file.read(), TEXT)

    def test_plot_training_says_what_is_wrong_with_a_log(self):
        run = subprocess.run([sys.executable, self.path(TOOLS, "plot_training.py"), self.input,
                              self.input + ".png"], capture_output=True, text=True)  # fmt: skip
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("expected a log of combiner train", run.stderr)
        self.assertFalse(os.path.exists(self.input + ".png"))

    def test_comparisons(self):
        self.assert_refused("compare/random_weights.py", lambda output: [self.input, "-o", output])
        self.assert_refused("compare/run",
                            lambda output: ["--model", self.input, "--json", output])
        self.assert_refused("compare/run",
                            lambda output: ["--config", self.input, "--json", output])

    def test_nothing_beside_the_output_is_written_over(self):
        sys.path.insert(0, TOOLS)
        import numpy as np

        import safetensors_numpy

        beside = self.input + ".tmp"  # what was written before it was renamed
        with open(beside, "w") as file:
            file.write(TEXT)
        safetensors_numpy.write(self.input, {"a": np.zeros(3, np.float32)}, {})
        with open(beside) as file:
            self.assertEqual(file.read(), TEXT)
        self.assertEqual(len(safetensors_numpy.read(self.input)[0]["a"]), 3)
        self.assertEqual(len(os.listdir(os.path.dirname(self.input))), 4)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Tests that tools/compare can measure combiner, and again in the same folder."""

import json
import os
import sys
import tempfile
import unittest

try:
    import numpy  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(TESTS, "..", "tools")
sys.path[:0] = [TESTS, TOOLS, os.path.join(TOOLS, "compare")]

import combiner_program  # noqa: E402
from figures import FIGURES, SAMPLE_FORWARD, Way  # noqa: E402
from random_weights import write_random_weights  # noqa: E402
from tiny_config import tiny_config  # noqa: E402

combiner_program.PROGRAM = sys.argv.pop(1)
CONFIG = tiny_config(16, 16, embed_dim=32, mlp_dim=64)


class Compare(unittest.TestCase):
    def test_measures_combiner_in_every_round(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            config_path = os.path.join(folder, "config.json")
            with open(config_path, "w") as file:
                json.dump(CONFIG, file)
            write_random_weights(config_path, path)
            program = combiner_program.CombinerProgram(path, CONFIG, 1,
                                                       os.path.join(folder, "f32"), ["f32"])
            for figure in FIGURES:
                if figure == SAMPLE_FORWARD:
                    continue
                for _ in range(2):
                    with self.subTest(figure=figure):
                        way = Way(batch=2, precision="f32", mode="")
                        self.assertGreater(program.rate(figure, way, True), 0)


if __name__ == "__main__":
    unittest.main()

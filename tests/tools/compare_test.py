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

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path[:0] = [TOOLS, os.path.join(TOOLS, "compare")]

import combiner_program  # noqa: E402
from figures import FIGURES, SAMPLE_FORWARD, Way  # noqa: E402
from random_weights import write_random_weights  # noqa: E402

combiner_program.PROGRAM = sys.argv.pop(1)
CONFIG = {
    "format": "combiner-1", "image": {"height": 16, "width": 16, "channels": 3}, "tokens": "pixel",
    "embed_dim": 32, "num_layers": 2, "num_heads": 2, "mlp_dim": 64, "attention": "axial_rowmajor",
    "activation": "gelu", "position": "axial", "context": ["previous", "above"],
    "stem": {"rows": 2, "columns": 3}, "norm_epsilon": 1e-6, "start_token": None,
}


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

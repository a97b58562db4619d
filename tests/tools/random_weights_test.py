#!/usr/bin/env python3
"""Tests that combiner loads the files of tools/compare/random_weights.py."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROJECT = os.path.join(TESTS, "..")
TOOL = os.path.join(PROJECT, "tools", "compare", "random_weights.py")
sys.path[:0] = [TESTS, os.path.join(PROJECT, "tools")]

import safetensors_numpy  # noqa: E402
from tiny_config import tiny_config  # noqa: E402

COMBINER = sys.argv.pop(1)
CONFIG = tiny_config(3, 4)


class RandomWeights(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.config = os.path.join(folder.name, "config.json")
        self.model = os.path.join(folder.name, "model.safetensors")

    def make(self, config):
        with open(self.config, "w") as file:
            json.dump(config, file)
        return subprocess.run([sys.executable, TOOL, self.config, "-o", self.model],
                              capture_output=True, text=True)

    def test_combiner_loads_the_file(self):
        made = self.make(CONFIG)
        self.assertEqual(made.returncode, 0, made.stderr)
        info = subprocess.run([COMBINER, "info", "--model", self.model], capture_output=True,
                              text=True)
        self.assertEqual(info.returncode, 0, info.stderr)
        tensors, metadata = safetensors_numpy.read(self.model)
        self.assertEqual(json.loads(metadata["config"]), CONFIG)
        parameters = sum(tensor.size for tensor in tensors.values())
        self.assertRegex(info.stdout, rf"parameters +{parameters}\n")
        self.assertTrue(all(np.isfinite(tensor).all() and tensor.any()
                            for tensor in tensors.values()))

    def test_damage_is_noticed(self):
        self.assertEqual(self.make(CONFIG).returncode, 0)
        with open(self.model, "r+b") as file:
            file.seek(-5, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-5, os.SEEK_END)
            file.write(bytes([byte ^ 1]))
        info = subprocess.run([COMBINER, "info", "--model", self.model], capture_output=True,
                              text=True)
        self.assertEqual(info.returncode, 1)
        self.assertIn("model.safetensors: the file is damaged: its checksum is ", info.stderr)

    def test_a_missing_field_is_named(self):
        made = self.make({k: v for k, v in CONFIG.items() if k != "mlp_dim"})
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("'mlp_dim'", made.stderr)
        self.assertFalse(os.path.exists(self.model))


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Tests which rotary positions tools/reference.py accepts."""

import json
import os
import sys
import tempfile
import unittest

try:
    import numpy as np
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(PROJECT, "tests", "data", "golden", "rotary_pixel_axial.safetensors")
sys.path.insert(0, os.path.join(PROJECT, "tools"))

import reference  # noqa: E402
import safetensors_numpy  # noqa: E402


class Rotary(unittest.TestCase):
    def load(self, **changed):
        tensors, metadata = safetensors_numpy.read(MODEL)
        config = json.loads(metadata["config"]) | changed
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.safetensors")
            safetensors_numpy.write(path, tensors, {"config": json.dumps(config)})
            return reference.load_model(path)

    def refused(self, reason, **changed):
        with self.assertRaisesRegex(ValueError, reason):
            self.load(**changed)

    def test_null_is_absent(self):
        config, weights = self.load(rotary=None)
        image = np.zeros((4, 3, 3), np.uint8)
        without = {name: value for name, value in config.items() if name != "rotary"}
        np.testing.assert_array_equal(reference.forward(image, config, weights),
                                      reference.forward(image, without, weights))

    def test_attention_to_maxima_of_keys_is_refused_by_name(self):
        for variant in ("axial_vertical", "axial_horizontal", "axial_mixture", "fixed",
                        "logsparse"):
            self.refused(f"attention {variant} with rotary", attention=["axial", variant])

    def test_all_other_attention_is_not(self):
        for variant in ("full", "axial", "fixed_sparse", "logsparse_sparse"):
            self.load(attention=variant)
        self.refused("summary", attention="axial_rowmajor")  # the file has no weights for summaries

    def test_heads_that_are_no_multiple_of_4_are_refused(self):
        self.refused("num_heads is 2", num_heads=4)

    def test_other_objects_are_refused(self):
        for rotary in ({}, {"base": 0}, {"base": "100"}, {"base": True}, {"base": 1, "x": 1}, 100,
                       False):
            self.refused("rotary is ", rotary=rotary)


if __name__ == "__main__":
    unittest.main()

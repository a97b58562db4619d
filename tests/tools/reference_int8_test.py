#!/usr/bin/env python3
"""Tests tools/reference.py on 8-bit weights: it must compute the same nats as combiner."""

import csv
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

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(PROJECT, "tests", "data", "golden", "pixel_rowmajor_all.safetensors")
sys.path.insert(0, os.path.join(PROJECT, "tools"))

import reference  # noqa: E402
import safetensors_numpy  # noqa: E402

COMBINER = sys.argv.pop(1)


def combiner(*arguments):
    subprocess.run([COMBINER, *arguments], check=True, capture_output=True)


class Int8(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.small, self.picture, self.table = (
            os.path.join(folder.name, name) for name in ("small.safetensors", "a.ppm", "a.csv"))
        combiner("quantize", "--model", MODEL, "-o", self.small)

    def test_nats_are_those_of_combiner(self):
        config, weights = reference.load_model(self.small)
        shape = (config["image"]["height"], config["image"]["width"], 3)
        image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        with open(self.picture, "wb") as file:
            file.write(b"P6 %d %d 255\n" % (shape[1], shape[0]) + image.tobytes())
        combiner("eval", "--model", self.small, "--precision", "f32", "--data", self.picture,
                 "--csv", self.table)
        with open(self.table) as file:
            (row,) = csv.DictReader(file)
        found = np.array([float(row[f"nats_{channel}"]) for channel in "rgb"])
        expected = reference.nats(reference.forward(image, config, weights), image).sum((0, 1))
        self.assertLess(reference.relative_error(found, expected), 1e-5)
        # With other weights the nats differ, so something was quantised.
        _, before = reference.load_model(MODEL)
        unlike = reference.nats(reference.forward(image, config, before), image).sum((0, 1))
        self.assertGreater(reference.relative_error(unlike, expected), 1e-5)

    def test_a_missing_scale_is_named(self):
        tensors, metadata = safetensors_numpy.read(self.small)
        del tensors["blocks.0.mlp.up.weight.scale"]
        safetensors_numpy.write(self.small, tensors, metadata)
        with self.assertRaisesRegex(ValueError, "tensor blocks.0.mlp.up.weight.scale is missing"):
            reference.load_model(self.small)


if __name__ == "__main__":
    unittest.main()

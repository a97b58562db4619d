"""Random pictures in the place of the data sets that the pages name."""

import os
import shutil
import sys

import numpy as np

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(PROJECT, "tools"))
import png_numpy  # noqa: E402


def make_cifar10(folder, rng):
    os.mkdir(folder)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        records = rng.integers(0, 256, (4, 1 + 3 * 32 * 32), np.uint8)
        records[:, 0] %= 10  # the label
        records.tofile(os.path.join(folder, name))


def make_imagenet64(folder, rng):
    os.mkdir(folder)
    for name in [*(f"train_data_batch_{i}.npz" for i in range(1, 11)), "val_data.npz"]:
        pixels = rng.integers(0, 256, (2, 3 * 64 * 64), np.uint8)
        np.savez(os.path.join(folder, name), data=pixels, labels=np.ones(2, np.int64))


def make_pictures(folder):
    for split in ("train", "val"):
        shutil.copytree(os.path.join(PROJECT, "samples", "images"), os.path.join(folder, split))


def make_photographs(folder, rng):
    for part in ("train", "valid", "train_crops"):
        os.makedirs(os.path.join(folder, part))
        for i in range(4):
            png_numpy.write(os.path.join(folder, part, f"{i}.png"),
                            rng.integers(0, 256, (64, 64, 3), np.uint8))


def make(folder):
    rng = np.random.default_rng(1)
    make_cifar10(os.path.join(folder, "cifar-10-batches-bin"), rng)
    make_imagenet64(os.path.join(folder, "imagenet64-npz"), rng)
    make_pictures(os.path.join(folder, "ILSVRC2012"))
    make_photographs(os.path.join(folder, "photographs"), rng)
    shutil.copy(os.path.join(PROJECT, "tests", "data", "flax", "axial_rowmajor.msgpack"),
                os.path.join(folder, "checkpoint_100"))  # fmt: skip

import numpy as np
import pytest

import combiner
from conftest import GOLDEN


def test_round_trip(small):
    images = np.random.default_rng(1).integers(0, 256, (20, 3, 6, 3), np.uint8)
    data = combiner.compress(images, small)
    assert isinstance(data, bytes)
    assert np.array_equal(combiner.decompress(data, small), images)
    assert combiner.decompress(combiner.compress(images[:0], small), small).shape == (0, 3, 6, 3)


def test_sizes(small):
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (2, 10, 13, 3), np.uint8)
    assert np.array_equal(combiner.decompress(combiner.compress(large, small), small), large)
    mixed = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((1, 1), (3, 6), (7, 5))]
    unpacked = combiner.decompress(combiner.compress(mixed, small), small)
    assert all(np.array_equal(a, b) for a, b in zip(unpacked, mixed))


def test_the_bits_are_the_likelihoods(shipped):
    images = shipped.sample(8, seed=1)
    bits = 8 * len(combiner.compress(images, shipped)) / images.size
    assert bits == pytest.approx(shipped.bits_per_dim(images).mean(), abs=0.1)


def test_the_program_reads_it_and_is_read(small, run_program, tmp_path):
    images = small.sample(3, seed=2)
    (tmp_path / "here.cmb").write_bytes(combiner.compress(images, small))
    model = GOLDEN / "pixel_mixed.safetensors"
    run_program("decompress", "--model", model, tmp_path / "here.cmb", "-o", f"{tmp_path}/out/")
    assert np.array_equal(combiner.read_images(tmp_path / "out", size=(3, 6)), images)
    run_program("compress", "--model", model, tmp_path / "out", "-o", tmp_path / "there.cmb")
    assert np.array_equal(combiner.decompress((tmp_path / "there.cmb").read_bytes(), small), images)


def test_errors(small, shipped):
    images = small.sample(3, seed=2)
    data = combiner.compress(images, small)
    with pytest.raises(combiner.Error, match="was made with pixel_mixed.safetensors, SHA-256"):
        combiner.decompress(data, shipped)
    with pytest.raises(combiner.Error, match="is not a file of combiner compress"):
        combiner.decompress(b"something else", small)
    with pytest.raises(combiner.Error):
        combiner.decompress(data[:-1], small)
    # In the streams, which begin after the header.
    begin = data.index(b"}") + 8
    damaged = bytearray(data)
    damaged[begin] ^= 1
    with pytest.raises(combiner.Error, match="damaged"):
        combiner.decompress(bytes(damaged), small)
    with pytest.raises(combiner.Error, match="is too large"):
        combiner.compress(np.zeros((1, 1, 1 << 28, 3), np.uint8), small)
    with pytest.raises(TypeError, match="data is of list; expected bytes"):
        combiner.decompress([1], small)
    with pytest.raises(TypeError, match="image 0 is of int64; expected uint8"):
        combiner.compress(images.astype(np.int64), small)
    with pytest.raises(ValueError, match=r"image 0 has the shape \[0, 6, 3\]"):
        combiner.compress([images[0, :0]], small)

import numpy as np
import pytest

import combiner
from conftest import REPOSITORY


def test_sheet(small, tmp_path):
    images = small.sample(5, seed=1)
    picture = combiner.sheet(images, columns=3, gap=1, scale=1)
    assert picture.pixels.shape == (2 * 4 + 1, 3 * 7 + 1, 3)
    assert np.array_equal(picture.pixels[1:4, 8:14], images[1])
    assert (picture.pixels[0] == 255).all()
    assert picture._repr_png_().startswith(b"\x89PNG")
    picture.save(tmp_path / "sheet.png")
    read = combiner.read_images(tmp_path / "sheet.png", size=picture.pixels.shape[:2])
    assert np.array_equal(read[0], picture.pixels)
    variations = small.complete(images[:2], 1, 3, seed=1)
    assert combiner.sheet(variations, gap=0, scale=2).pixels.shape == (2 * 6, 3 * 12, 3)


def test_surprise(small):
    image = small.sample(1, seed=1)
    picture = combiner.surprise(image[0], small.bits_map(image)[0])
    assert picture._repr_png_().startswith(b"\x89PNG")


def test_read_images():
    images = combiner.read_images(REPOSITORY / "samples/images", size=(32, 32))
    assert images.shape == (6, 32, 32, 3) and images.dtype == np.uint8


def test_pictures_need_a_size():
    for resize in (False, True):
        with pytest.raises(combiner.Error, match="pictures need a size") as raised:
            combiner.read_images(REPOSITORY / "samples/images", resize=resize)
        assert "--" not in str(raised.value)
    with pytest.raises(ValueError, match="the width of size is 0; expected 1 or more"):
        combiner.read_images(REPOSITORY / "samples/images", size=(32, 0), resize=True)
    for size in (32, (32,)):
        with pytest.raises(ValueError, match=r"size is .*32.*; expected \(height, width\)"):
            combiner.read_images(REPOSITORY / "samples/images", size=size)


def test_surprise_refuses_an_empty_image():
    for shape in ((0, 4, 3), (4, 0, 3)):
        with pytest.raises(ValueError, match="expected at least one pixel"):
            combiner.surprise(np.zeros(shape, np.uint8), np.zeros(shape, np.float32))


def test_errors(small, tmp_path):
    with pytest.raises(combiner.Error, match="none"):
        combiner.read_images(tmp_path / "none", size=(32, 32))
    with pytest.raises(ValueError, match="split is 'all'"):
        combiner.read_images(tmp_path, split="all")
    with pytest.raises(TypeError, match="images is of bool; expected uint8"):
        combiner.sheet(np.zeros((1, 2, 2, 3), bool))
    with pytest.raises(ValueError, match="at least one image"):
        combiner.sheet(np.zeros((0, 2, 2, 3), np.uint8))
    sheet = np.zeros((1, 2, 2, 3), np.uint8)
    with pytest.raises(TypeError, match="gap is 2.5; expected a whole number"):
        combiner.sheet(sheet, gap=2.5)
    for name, least in (("gap", 0), ("scale", 1)):
        for value in (least - 1, 2**31):
            with pytest.raises(combiner.Error, match=f"{name} is {value}; expected {least} to"):
                combiner.sheet(sheet, **{name: value})
    with pytest.raises(ValueError, match=f"columns is {2**31}; expected 1 to {2**31 - 1}"):
        combiner.sheet(sheet, columns=2**31)
    with pytest.raises(ValueError, match=f"the height of size is {2**31}; expected 1 to"):
        combiner.read_images(REPOSITORY / "samples/images", size=(2**31, 32))
    with pytest.raises(ValueError, match=r"bits has the shape \[1, 1, 3\]; expected \[3, 6, 3\]"):
        combiner.surprise(small.sample(1, seed=1)[0], np.zeros((1, 1, 3), np.float32))
    with pytest.raises(combiner.Error):
        combiner.Picture(np.zeros((1, 1, 3), np.uint8)).save(tmp_path / "no/folder.png")

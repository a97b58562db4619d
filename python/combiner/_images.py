"""Images from files, and pictures to look at."""

from __future__ import annotations

import math
import os
import pathlib
from typing import Any, Optional, Tuple, Union

import numpy as np

from . import _check, _combiner


def read_images(path: Union[str, os.PathLike], *, split: str = "test",
                size: Optional[Tuple[int, int]] = None, resize: bool = False) -> np.ndarray:
    """Reads all images of a data set: uint8 [n, height, width, 3].

    path: CIFAR-10, downsampled ImageNet, a folder of pictures or one picture; docs/formats.md
        describes them.
    split: "train" or "test", for data sets that are divided.
    size: (height, width) of the images. Pictures need it; CIFAR-10 and .npz files have their own.
    resize: whether to crop and resample images of other sizes, rather than refuse them.

    Raises combiner.Error if there is no such data set or if an image can't be used.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}; expected 'train' or 'test'")
    height, width = _size(size)
    return _combiner.read_images(pathlib.Path(path), split == "train", height, width, resize,
                                 _combiner.usable_threads())


def _size(size: Optional[Tuple[int, int]]) -> Tuple[int, int]:
    """The height and the width; 0 is for the data set's own."""
    if size is None:
        return 0, 0
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ValueError(f"size is {size!r}; expected (height, width)") from None
    return (_check.count(height, "the height of size", 1, _check.INT_MAX),
            _check.count(width, "the width of size", 1, _check.INT_MAX))


class Picture:
    """A picture that a notebook shows. pixels: uint8 [height, width, 3]."""

    pixels: np.ndarray

    def __init__(self, pixels: Any):
        self.pixels = _check.array(pixels, "picture", np.uint8, (None, None, 3),
                                   "[height, width, 3]")

    def _repr_png_(self) -> bytes:
        return _combiner.png(self.pixels)

    def save(self, path: Union[str, os.PathLike]) -> None:
        """Writes a PNG file, completely or not at all. Raises combiner.Error if it can't."""
        _combiner.write_png(pathlib.Path(path), self.pixels)


def sheet(images: Any, *, columns: Optional[int] = None, gap: int = 2,
          scale: Optional[int] = None) -> Picture:
    """Images on one sheet, row by row.

    images: uint8 [n, height, width, 3], or [rows, columns, height, width, 3] as Model.complete()
        returns them.
    columns: how many in a row; by default about as many as rows.
    gap: white pixels between and around them.
    scale: each pixel is magnified to scale x scale; by default images get about 64 pixels wide.

    Raises combiner.Error if the sheet would be too large.
    """
    array = np.asarray(images)
    if array.ndim == 5:
        columns = array.shape[1] if columns is None else columns
        array = array.reshape(-1, *array.shape[2:])
    array = _check.array(array, "images", np.uint8, (None, None, None, 3), "[n, height, width, 3]")
    if array.size == 0:
        raise ValueError(f"images have the shape {list(array.shape)}; expected at least one image")
    if columns is None:
        columns = math.ceil(math.sqrt(len(array)))
    columns = _check.count(columns, "columns", 1, _check.INT_MAX)
    if scale is None:
        scale = max(1, 64 // array.shape[2])
    return Picture(_combiner.sheet(array, -(-len(array) // columns), columns,
                                   _check.option(gap, "gap", 0),
                                   _check.option(scale, "scale", 1)))


def surprise(image: Any, bits: Any) -> Picture:
    """An image beside a map of the bits of its pixels: bright ones surprised the model.

    image: uint8 [height, width, 3].
    bits: float32 [height, width, 3], of Model.bits_map().
    """
    image = _check.array(image, "image", np.uint8, (None, None, 3), "[height, width, 3]")
    names = str(list(image.shape))
    if image.size == 0:
        raise ValueError(f"image has the shape {names}; expected at least one pixel")
    return Picture(_combiner.surprise(image, _check.array(bits, "bits", np.float32, image.shape,
                                                          names)))

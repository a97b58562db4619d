"""Packing pictures without loss, in about as many bits as the model's likelihood says."""

from __future__ import annotations

from typing import Any, List, Sequence, Union

import numpy as np

from . import _check, _combiner
from ._model import Model, Progress


def compress(images: Union[np.ndarray, Sequence[np.ndarray]], model: Model, *,
             progress: Progress = None) -> bytes:
    """Packs pictures, as `combiner compress` does.

    images: uint8 [n, height, width, 3], or a sequence of uint8 [height, width, 3] of any sizes.
        Those that are not of the model's size are cut into tiles.

    The precision is the model's, but f32 for a model that was loaded with "auto": what is packed in
    f32 can be unpacked on every processor with fused multiply-add, in bf16 and int8 only where the
    same kernels are in use.
    """
    pictures = [_check.array(image, f"image {i}", np.uint8, (None, None, 3), "[height, width, 3]")
                for i, image in enumerate(images)]
    for i, picture in enumerate(pictures):
        if picture.size == 0:
            raise ValueError(f"image {i} has the shape {list(picture.shape)}; expected some pixels")
    precision = "f32" if model.precision == "auto" else model.precision
    return _combiner.compress(pictures, model._model, model.name, model.sha256, precision,
                              _check.progress(progress))


def decompress(data: bytes, model: Model, *,
               progress: Progress = None) -> Union[np.ndarray, List[np.ndarray]]:
    """Unpacks what compress() or `combiner compress` has packed, with the same model.

    Returns uint8 [n, height, width, 3] or, if the pictures are of several sizes, a list of uint8
    [height, width, 3].

    Raises combiner.Error if the data are no such data, are damaged, or were packed with another
    model or with kernels that are not in use here.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data is of {type(data).__name__}; expected bytes")
    return _combiner.decompress(data, model._model, model.name, model.sha256,
                                _check.progress(progress))

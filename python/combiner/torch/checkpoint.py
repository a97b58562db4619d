"""Checkpoints: those of `combiner train`, which can go on from them, as this can from its own."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any, Dict, NamedTuple, Optional

import numpy as np

from .. import _combiner
from .weights import parse_config

_FORMAT = "combiner-checkpoint-1"


class Checkpoint(NamedTuple):
    config: Dict[str, Any]
    options: "_combiner.TrainingOptions"
    training_images: int  # how many there were
    data_sample: Optional[str]  # by which the data is known again; old checkpoints have none
    precision: Optional[str]  # of products, "f32" or "bf16"; old checkpoints have none
    step: int
    images: int  # seen so far
    seconds: float  # spent so far
    tensors: Dict[str, np.ndarray]  # flat, float32, in the library's layout


def read_checkpoint(path: pathlib.Path) -> Checkpoint:
    """Raises combiner.Error if the file is no checkpoint or is damaged."""
    metadata, tensors = _combiner.read_checkpoint(path)
    return Checkpoint(
        config=parse_config(metadata["config"], str(path)),
        options=_combiner.TrainingOptions.parse(metadata["training"], str(path)),
        training_images=int(metadata["training_images"]),
        data_sample=metadata.get("data_sample"),
        precision=metadata.get("precision"),
        step=int(metadata["step"]),
        images=int(_number(path, metadata, "images")),
        seconds=_number(path, metadata, "seconds"),
        tensors=tensors)


def write_checkpoint(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes the file, completely or not at all. Raises combiner.Error if it can't."""
    metadata = {
        "format": _FORMAT,
        "config": json.dumps(checkpoint.config),
        "training": checkpoint.options.json(),
        "training_images": str(checkpoint.training_images),
        "data_sample": checkpoint.data_sample,
        "precision": checkpoint.precision,
        "step": str(checkpoint.step),
        "images": str(checkpoint.images),
        "seconds": repr(checkpoint.seconds),
    }
    known = {key: value for key, value in metadata.items() if value is not None}
    _combiner.write_checkpoint(path, known, checkpoint.tensors)


def _number(path: pathlib.Path, metadata: Dict[str, str], key: str) -> float:
    """What the library doesn't check before it restores a trainer of its own."""
    text = metadata.get(key, "nothing")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _combiner.Error(f"{path}: {key} in the metadata is {text!r}, expected a number of 0 "
                              "or more")
    return number

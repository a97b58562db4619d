"""Models from weights files and back."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, Dict, Union

import numpy as np
import torch
from torch import Tensor

from .. import _check, _combiner
from .model import Model

Path = Union[str, os.PathLike]


def read_config(path: Path) -> Dict[str, Any]:
    """The config in a JSON file. Raises combiner.Error if it is none."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _combiner.Error(f"{path}: can't be read: {error}") from error
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> Dict[str, Any]:
    """A config in JSON; `source` names it in messages. Raises combiner.Error if it has a fault."""
    return json.loads(_combiner.parse_config(text, source))


def load_model(path: Path) -> Model:
    """The model in a weights file, in float32 on the CPU. Weights of 8 bits are widened.

    Raises combiner.Error as combiner.load() does.
    """
    config, arrays = _combiner.load_weights(pathlib.Path(path))
    return _filled(json.loads(config), arrays)


def new_model(config: Dict[str, Any], seed: int = 1) -> Model:
    """A model with the weights that `combiner train --seed` starts from.

    Raises combiner.Error if the config has a fault.
    """
    return _filled(config, _combiner.initial_weights(json.dumps(config), _check.seed(seed)))


def save_model(model: Model, path: Path, dtype: str = "bf16") -> None:
    """Writes a weights file, completely or not at all.

    dtype: "bf16", as `combiner train` writes them, or "f32".

    Raises combiner.Error, and leaves the file as it is, if a weight is not finite in that dtype or
    the file can't be written.
    """
    if dtype not in ("bf16", "f32"):
        raise ValueError(f"dtype is {dtype!r}; expected 'bf16' or 'f32'")
    arrays = {name: to_numpy(parameter) for name, parameter in model.named_parameters()}
    # What a masked tap of the stem holds is of no consequence, and 0 in files.
    if model.embed.stem is not None:
        stem = model.embed.stem
        arrays["embed.stem.weight"] = to_numpy(stem.weight * stem.earlier)
    stored = torch.bfloat16 if dtype == "bf16" else torch.float32
    for name, array in arrays.items():
        if not torch.from_numpy(array).to(stored).isfinite().all():
            raise _combiner.Error(f"{path}: tensor {name} holds values that are not finite in "
                                  f"{dtype}; nothing is written")
    _combiner.save_weights(pathlib.Path(path), json.dumps(model.config), arrays, dtype == "bf16")


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A float32 array, C-contiguous."""
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy())


def _filled(config: Dict[str, Any], arrays: Dict[str, np.ndarray]) -> Model:
    model = Model(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model

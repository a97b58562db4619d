"""Training images that lie on the device, in the order in which `combiner train` takes them."""

from __future__ import annotations

import pathlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from .. import _combiner


class TrainingData(NamedTuple):
    training: np.ndarray  # uint8 [n, H, W, 3]
    validation: np.ndarray
    origin: str  # of the validation images


def read_training_data(paths: Sequence[pathlib.Path], config: Dict[str, Any], *, resize: bool,
                       validation_images: int, seed: Optional[int]) -> TrainingData:
    """Reads the data and sets images apart to validate on: of the data's own, if it has some, or
    else drawn by the seed. They are those that `combiner train` takes.

    seed: None, as in checkpoints from before there was a draw, is for the last images of all.
    """
    image, threads = config["image"], _combiner.usable_threads()
    size = (image["height"], image["width"])
    has_own = seed is not None and validation_images > 0
    _combiner.require_apart(paths, *size, has_own)
    images = _joined([_combiner.read_images(path, True, *size, resize, threads) for path in paths])
    if has_own:
        found = [_combiner.read_validation(path, *size, resize, threads) for path in paths]
        own = [part for part in found if part is not None]
        if own:
            return _with_own_validation(images, _joined(own), paths, validation_images, seed)
    return _kept_apart(images, paths, validation_images, seed)


def _joined(parts: List[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _with_own_validation(images: np.ndarray, own: np.ndarray, paths: Sequence[pathlib.Path],
                         wanted: int, seed: int) -> TrainingData:
    chosen = _combiner.drawn_indices(len(own), min(wanted, len(own)), seed)
    return TrainingData(images, own[chosen],
                        f"of the {len(own)} in {_names(paths)} that are for it")


def _kept_apart(images: np.ndarray, paths: Sequence[pathlib.Path], wanted: int,
                seed: Optional[int]) -> TrainingData:
    if len(images) <= wanted:
        raise _combiner.Error(f"{_names(paths)}: has {len(images)} images, and {wanted} to keep "
                              "apart for validation; set --validation-images below what it has")
    if seed is None:
        first = len(images) - wanted
        return TrainingData(images[:first], images[first:],
                            f"the last of {_names(paths)}, as this checkpoint's run began")
    apart = _combiner.drawn_indices(len(images), wanted, seed)
    rest = np.setdiff1d(np.arange(len(images)), apart)
    return TrainingData(images[rest], images[np.array(apart, np.int64)],
                        f"drawn from {_names(paths)} with seed {seed}")


def _names(paths: Sequence[pathlib.Path]) -> str:
    return " and ".join(map(str, paths))


class Batches:
    """Batches of images on the device; no step waits for the host."""

    def __init__(self, images: np.ndarray, seed: int, flips: bool, device: torch.device):
        self.images = torch.from_numpy(images).to(device)
        self._seed, self._flips = seed, flips
        self._pass: Optional[int] = None
        self._order: Tuple[Tensor, Tensor]

    def at(self, first: int, count: int) -> Tensor:
        """Images number `first` to `first` + `count` - 1 of the training: uint8 [count, H, W,
        3]."""
        size, end = len(self.images), first + count
        parts = []
        while first < end:
            now, begin = divmod(first, size)
            stop = min(size, begin + end - first)
            index, flipped = (order[begin:stop] for order in self._of_pass(now))
            chosen = self.images[index]
            parts.append(torch.where(flipped[:, None, None, None], chosen.flip(2), chosen))
            first += stop - begin
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _of_pass(self, number: int) -> Tuple[Tensor, Tensor]:
        """The indices of a pass over the data, and which images it mirrors."""
        if number != self._pass:
            size = len(self.images)
            order = _combiner.data_order(self._seed, size, self._flips, number * size, size)
            self._order = tuple(torch.from_numpy(x).to(self.images.device) for x in order)
            self._pass = number
        return self._order

"""Checks of arguments, whose messages say what was given and what was expected."""

from __future__ import annotations

import operator
import secrets
from typing import Any, Optional, Sequence

import numpy as np

from . import _combiner


def array(value: Any, what: str, dtype: Any, shape: Sequence[Optional[int]],
          names: str) -> np.ndarray:
    """`value` as a C-contiguous array, copied only if it is not one.

    `shape` has None where any size will do; `names` is how the message shows it.
    Raises TypeError for another dtype and ValueError for another shape.
    """
    result = np.asarray(value)
    if result.dtype != dtype:
        raise TypeError(f"{what} is of {result.dtype}; expected {np.dtype(dtype)} {names}")
    fits = result.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(result.shape, shape))
    if not fits:
        raise ValueError(f"{what} has the shape {list(result.shape)}; expected {names}")
    return np.ascontiguousarray(result)


def images(value: Any, height: int, width: int) -> np.ndarray:
    """Images of a model's size, uint8 [n, height, width, 3]."""
    return array(value, "images", np.uint8, (None, height, width, 3),
                 f"[n, {height}, {width}, 3]")


def count(value: Any, what: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}; expected a whole number") from None
    if number < least:
        raise ValueError(f"{what} is {number}; expected {least} or more")
    return number


def seed(value: Optional[int]) -> int:
    """A seed of 64 bits; None is a random one."""
    if value is None:
        return secrets.randbits(32)
    number = count(value, "seed", 0)
    if number >= 2**64:
        raise ValueError(f"seed is {number}; expected less than 2**64")
    return number


def threads(value: Optional[int]) -> int:
    """A number of threads; None is as many as this process may run at once, and no more are
    used."""
    usable = _combiner.usable_threads()
    return usable if value is None else min(count(value, "threads"), usable)


def progress(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"progress is {value!r}; expected a function or None")
    return value

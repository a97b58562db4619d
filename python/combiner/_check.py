"""Checks of arguments, whose messages say what was given and what was expected."""

from __future__ import annotations

import math
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


INT_MAX = 2**31 - 1  # the most that the library's sizes can be
_COUNT_MAX = 2**63 - 1


def _whole(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}; expected a whole number") from None


def count(value: Any, what: str, least: int = 1, most: int = _COUNT_MAX) -> int:
    """A whole number from `least` to `most`. Raises ValueError for another."""
    value = _whole(value, what)
    if value < least and most >= INT_MAX:
        raise ValueError(f"{what} is {value}; expected {least} or more")
    if not least <= value <= most:
        raise ValueError(f"{what} is {value}; expected {least} to {most}")
    return value


def option(value: Any, what: str, least: int, most: int = INT_MAX) -> int:
    """As count(), but raises combiner.Error, as the library does for its options."""
    value = _whole(value, what)
    if not least <= value <= most:
        raise _combiner.Error(f"{what} is {value}; expected {least} to {most}")
    return value


def number(value: Any, what: str) -> float:
    """A number, whose range the library checks."""
    try:
        if isinstance(value, (str, bytes, bytearray)):  # which float() would read
            raise TypeError
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {value!r}; expected a number") from None


def seed(value: Optional[int]) -> int:
    """A seed of 64 bits; None is a random one."""
    if value is None:
        return secrets.randbits(32)
    value = _whole(value, "seed")
    if not 0 <= value < 2**64:
        raise ValueError(f"seed is {value}; expected 0 to 2**64 - 1")
    return value


def threads(value: Optional[int]) -> int:
    """A number of threads; None is as many as this process may run at once, and no more are
    used."""
    usable = _combiner.usable_threads()
    return usable if value is None else min(count(value, "threads"), usable)


def progress(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"progress is {value!r}; expected a function or None")
    return value

"""A model that is ready to compute."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from typing import Any, Callable, Dict, Optional, Tuple, Union

import numpy as np

from . import _check, _combiner

Progress = Optional[Callable[[float], object]]

# What was installed, which in an editable install lies elsewhere than this file.
_MODELS = pathlib.Path(_combiner.__file__).parent / "models"
_PRECISIONS = ("auto", "f32", "bf16", "int8")


def load(model: Union[str, os.PathLike] = "cifar10", precision: str = "auto",
         threads: Optional[int] = None) -> "Model":
    """Loads a model.

    model: the path of a weights file (.safetensors) or, if there is no such file, the name of a
        model that comes with the package, such as "cifar10".
    precision: what matrix products are made with: "f32", "bf16", "int8" or "auto", which for each
        kind of work is f32 or bf16, whichever is faster here.
    threads: how many to compute with; by default, and at most, as many as this process may run at
        once.

    Raises combiner.Error if the file can't be read, is damaged or is no weights file, with a
    message that names the tensors that are missing, unknown or of the wrong shape.
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"precision is {precision!r}; expected one of {', '.join(_PRECISIONS)}")
    return Model(_find(model), precision, _check.threads(threads))


def _find(model: Union[str, os.PathLike]) -> pathlib.Path:
    path = pathlib.Path(model)
    shipped = _MODELS / f"{path.name}.safetensors"
    is_name = path.name == os.fspath(model)  # and no path such as ./cifar10
    is_file = path.exists() and not path.is_dir()
    return shipped if is_name and not is_file and shipped.is_file() else path


def _load(path: pathlib.Path, precision: Optional[str],
          threads: int) -> Tuple["_combiner.Model", str]:
    """The model and the SHA-256 of its file."""
    for _ in range(5):
        before = _version(path)
        model = _combiner.Model(path, precision, threads)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _combiner.Error(f"{path}: can't be read: {error.strerror}") from error
        if _version(path) == before:  # or else what was read may be another file
            return model, hashlib.sha256(content).hexdigest()
    raise _combiner.Error(f"{path}: is written again and again; load a copy")


def _version(path: pathlib.Path) -> Optional[Tuple[int, ...]]:
    """What changes whenever a file is replaced or written to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Model:
    """A model; made by load(). Threads may share one.

    config: its config, a dict; docs/formats.md describes the fields.
    name: the name of its file.
    sha256: of its file, in hexadecimal.
    precision: as it was loaded: "auto", "f32", "bf16" or "int8".
    threads: how many it computes with.
    """

    config: Dict[str, Any]
    name: str
    sha256: str
    precision: str
    threads: int

    def __init__(self, path: pathlib.Path, precision: str, threads: int):
        self._model, self.sha256 = _load(path, None if precision == "auto" else precision, threads)
        self.config = json.loads(self._model.config)
        self.name = path.name
        self.precision = precision
        self.threads = threads

    def __repr__(self) -> str:
        return f"<combiner.Model {self.name}: {self.height}x{self.width}, {self.precision}>"

    @property
    def height(self) -> int:
        """Rows of an image."""
        return self.config["image"]["height"]

    @property
    def width(self) -> int:
        """Columns of an image."""
        return self.config["image"]["width"]

    # ---- Drawing

    def sample(self, n: int = 1, *, seed: Optional[int] = None, temperature: float = 1.0,
               top_k: int = 256, top_p: float = 1.0, first: int = 0,
               progress: Progress = None) -> np.ndarray:
        """Draws images: uint8 [n, height, width, 3].

        They are images `first` to `first` + n - 1 of the seed's endless sequence, those that
        `combiner sample --seed` draws. An image depends on nothing else but the precision: in f32
        it is the same on every processor with fused multiply-add, in bf16 and int8 where the same
        instructions are in use. Without a seed, a random one is taken.

        temperature: divides the logits; 0 always takes the most likely value.
        top_k: draw among this many of the most likely values only, 1 to 256.
        top_p: draw among the fewest most likely values that together have this probability.

        Raises combiner.Error if one of these is out of range.
        """
        drawn = _drawn(n, first, seed, temperature, top_k, top_p)
        return self._model.sample(drawn, _check.progress(progress))

    def complete(self, images: Any, keep_rows: int, n: int = 1, *, seed: Optional[int] = None,
                 temperature: float = 1.0, top_k: int = 256, top_p: float = 1.0, first: int = 0,
                 progress: Progress = None) -> np.ndarray:
        """Keeps the upper rows of images and draws the rest: uint8 [m, n, height, width, 3].

        images: uint8 [m, height, width, 3].
        keep_rows: how many rows to keep, 0 to height - 1.
        n: variations of each image, those that `combiner complete --seed` draws.

        The other arguments are those of sample(). Raises combiner.Error if one is out of range.
        """
        known = _check.images(images, self.height, self.width)
        drawn = _drawn(n, first, seed, temperature, top_k, top_p)
        rows = _check.option(keep_rows, "keep_rows", 0, self.height - 1)
        return self._model.complete(known, rows, drawn, _check.progress(progress))

    # ---- Measuring

    def log_likelihood(self, images: Any, *, progress: Progress = None) -> np.ndarray:
        """log p of each image, in nats: float64 [n].

        images: uint8 [n, height, width, 3].

        Raises combiner.Error if a figure is not finite.
        """
        return self._model.log_likelihood(self._images(images), _check.progress(progress))

    def bits_per_dim(self, images: Any, *, progress: Progress = None) -> np.ndarray:
        """-log2 p of each image divided by the number of its sub-pixels: float64 [n].

        images: uint8 [n, height, width, 3].

        The mean is what `combiner eval` shows for these images in the same precision. Raises
        combiner.Error if a figure is not finite.
        """
        return self._model.bits_per_dim(self._images(images), _check.progress(progress))

    def bits_map(self, images: Any, *, progress: Progress = None) -> np.ndarray:
        """-log2 p of each sub-pixel, given all before it: float32 [n, height, width, 3].

        images: uint8 [n, height, width, 3].

        combiner.surprise() draws it. Raises combiner.Error if an image's sum is not finite.
        """
        return self._model.bits_map(self._images(images), _check.progress(progress))

    def logits(self, images: Any, *, progress: Progress = None) -> np.ndarray:
        """The logits of each sub-pixel, given all before it: float32 [n, height, width, 3, 256].

        images: uint8 [n, height, width, 3]. An image of 32x32 has 3 MB of logits.
        """
        return self._model.logits(self._images(images), _check.progress(progress))

    def _images(self, images: Any) -> np.ndarray:
        return _check.images(images, self.height, self.width)


def _drawn(n: int, first: int, seed: Optional[int], temperature: float, top_k: int,
           top_p: float) -> "_combiner.Drawn":
    return _combiner.Drawn(_check.count(n, "n"), _check.count(first, "first", 0),
                           _check.seed(seed), _check.number(temperature, "temperature"),
                           _check.option(top_k, "top_k", 1, 256), _check.number(top_p, "top_p"))

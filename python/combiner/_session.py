"""Drawing images step by step, with your own choice of values."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np

from . import _check, _combiner
from ._model import Model

Choose = Callable[[int, int, np.ndarray], int]


class Session:
    """Images that are drawn together, position by position.

    This draws as Model.sample() does, but with random numbers of its own:

        rng = np.random.default_rng(1)

        def choose(image, subpixel, logits):
            p = np.exp(logits - logits.max())
            return rng.choice(256, p=p / p.sum())

        session = combiner.Session(model, 4)
        while not session.done:
            session.step(choose)
        session.images  # uint8 [4, height, width, 3]

    A session computes on the thread that calls it and must not be used by two at once; several
    threads may have a session each, of the same model.
    """

    def __init__(self, model: Model, n: int = 1):
        """n: how many images. Each has memory of its own for what the model needs of its pixels."""
        self._model = model
        self._n = _check.count(n, "n")
        self._session = _combiner.Session(model._model, self._n)
        self._positions = model.height * model.width
        if model.config["tokens"] == "subpixel":
            self._positions *= model.config["image"]["channels"]

    @property
    def position(self) -> int:
        """How many positions are drawn: pixels, or sub-pixels if those are the model's tokens."""
        return self._session.position

    @property
    def done(self) -> bool:
        """Whether all positions are drawn."""
        return self.position >= self._positions

    @property
    def images(self) -> np.ndarray:
        """A copy of the images, uint8 [n, height, width, 3]; zeros where nothing is drawn yet."""
        return self._session.images()

    def step(self, choose: Choose) -> None:
        """Draws the next position of each image.

        choose(image, subpixel, logits) is called for each image and each sub-pixel of the position,
        in order: image is 0 to n - 1, subpixel the number of the sub-pixel in raster order with
        channels interleaved, and logits float32 [256], before the softmax, given all sub-pixels
        before this one. It returns the value, 0 to 255. What it raises ends the step, which may
        then be made again.

        Raises ValueError if the images are done, or if choose() returns something else.
        """
        if self.done:
            raise ValueError("the images of the session are done")
        self._session.step(choose)

    def prefill(self, images: Any, rows: int) -> None:
        """Takes known pixels, from where the images are up to and including row `rows` - 1.

        images: uint8 [n, height, width, 3], with as many images as the session has.
        """
        known = _check.images(images, self._model.height, self._model.width)
        self._session.prefill(known, _check.count(rows, "rows", 0, self._model.height))

    def select(self, indices: Sequence[int]) -> None:
        """Image i becomes a copy of what image indices[i] is, for searches and resampling.

        indices: one for each image, 0 to n - 1; it may name an image more than once.
        """
        self._session.select([_check.count(index, f"index {i}", 0, self._n - 1)
                              for i, index in enumerate(indices)])

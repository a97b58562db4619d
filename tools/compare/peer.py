"""What the peers have in common, and the process that each of them runs in."""

import concurrent.futures
import importlib
import multiprocessing
import os
import threading
import time

import numpy as np

import reference
from figures import (BATCHES, LIKELIHOOD, SAMPLE_FORWARD, SAMPLE_MANY, SAMPLE_ONE, TRAIN,
                     TRAIN_FOUR)
from parameters import arrange, require_supported

FORWARD_PASSES = 20  # timed when sampling without caches; the time of the others is inferred
BRIEF_ROWS = 2  # rows of an image to draw when choosing between ways of sampling
LEAST_SECONDS = 2.0  # minimal time of a measurement


class Peer:
    """The model of a file in another framework, with one thread per processor of this process.

    A subclass defines `name`, `version`, `modes` and the methods that raise NotImplementedError.
    Images are uint8 [B, R, C, 3].
    """

    def __init__(self, path):
        self.config, weights = reference.load_model(path)
        require_supported(self.config)
        self.weights = arrange(self.config, weights)
        self.rows, self.columns = reference.grid(self.config)
        self.rng = np.random.default_rng(0)
        self.warm = set()

    def nats(self, images, way):
        """Nats [B, R, C, 3], in parallel over positions."""
        raise NotImplementedError

    def decode(self, uniforms, given, num_rows, way):
        """(images, nats): with caches, draws images with uniforms [R, C, B, 3] or evaluates the
        given ones. Only the first num_rows rows of the results are defined."""
        raise NotImplementedError

    def redraw(self, images, positions, uniforms, way):
        """Draws these pixels again, each with a forward pass, using uniforms [.., B, 3]."""
        raise NotImplementedError

    def train_step(self, images, way):
        """The loss, the mean nats of a byte, before a step of AdamW. Each way trains on its own."""
        raise NotImplementedError

    def describe(self):
        return f"{self.name} {self.version}"

    def choices(self, figure):
        """The values of each field of Way to try, starting with the default. The batch comes last
        because it must suit the precision and the mode."""
        modes = self.modes[:1] if figure == SAMPLE_FORWARD else self.modes
        return {"precision": ["f32", "bf16"], "mode": modes, "batch": BATCHES[figure]}

    def random_images(self, batch):
        return self.rng.integers(0, 256, (batch, self.rows, self.columns, 3), np.uint8)

    def random_uniforms(self, batch):
        return self.rng.random((self.rows, self.columns, batch, 3), np.float32)

    def rate(self, figure, way, brief=False):
        """Images/s, warm. If brief, a rough figure for as little work as possible."""
        work, images = self._work(figure, way, brief)
        if (figure, way) not in self.warm:
            self._work(figure, way, True)[0]()
            self.warm.add((figure, way))
        done, start = 0, time.perf_counter()
        while True:
            work()
            done += images
            seconds = time.perf_counter() - start
            if brief or seconds >= LEAST_SECONDS:
                return done / seconds

    def _work(self, figure, way, brief):
        """(a function to call, the number of images that one call processes)"""
        if figure in (SAMPLE_ONE, SAMPLE_MANY):
            rows = min(BRIEF_ROWS, self.rows) if brief else self.rows
            uniforms = self.random_uniforms(way.batch)
            return (lambda: self.decode(uniforms, None, rows, way)), way.batch * rows / self.rows
        images = self.random_images(way.batch)
        if figure == SAMPLE_FORWARD:
            positions = range(2 if brief else FORWARD_PASSES)
            uniforms = self.rng.random((FORWARD_PASSES, way.batch, 3), np.float32)
            work = lambda: self.redraw(images, positions, uniforms, way)  # noqa: E731
            return work, way.batch * len(positions) / (self.rows * self.columns)
        if figure == LIKELIHOOD:
            return (lambda: self.nats(images, way)), way.batch
        assert figure in (TRAIN_FOUR, TRAIN)
        return (lambda: self.train_step(images, way)), way.batch


# ---- In its own process, so that peers' threads don't compete -----------------------------------

_peer = None  # set in the worker process


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _start(module, path):
    global _peer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _peer = importlib.import_module(module).make(path)


def _ask(method, *arguments):
    return getattr(_peer, method)(*arguments)


class RemotePeer:
    """A peer of `module` with the methods of Peer. Exceptions of its methods are raised here."""

    def __init__(self, module, path):
        self._pool = concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), _start, (module, path))

    def __getattr__(self, method):
        return lambda *arguments: self._pool.submit(_ask, method, *arguments).result()

"""What the peers have in common, and the process that each runs in."""

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

FORWARD_PASSES = 20  # of the sampling without caches; the time of the others is inferred
BRIEF_ROWS = 2  # of an image, to choose between ways of sampling
LEAST_SECONDS = 2.0  # of a measurement


class Peer:
    """The model of a file in another framework, on as many threads as the process has processors.

    A subclass has `name`, `version`, `modes` and the methods that raise NotImplementedError.
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
        """[B, R, C, 3], in parallel over positions."""
        raise NotImplementedError

    def decode(self, uniforms, given, num_rows, way):
        """(images, nats) of images drawn with caches by uniforms [R, C, B, 3], or of those given:
        the first rows, the others are not defined."""
        raise NotImplementedError

    def redraw(self, images, positions, uniforms, way):
        """Draws those pixels of the images anew, each by a forward pass, by uniforms [.., B, 3]."""
        raise NotImplementedError

    def train_step(self, images, way):
        """The loss, mean nats of a byte, before a step of AdamW. Each way has a training."""
        raise NotImplementedError

    def describe(self):
        return f"{self.name} {self.version}"

    def choices(self, figure):
        """The values to try of each field of Way, first those to begin with; the batch last, for
        it is the precision and mode that it must suit."""
        modes = self.modes[:1] if figure == SAMPLE_FORWARD else self.modes
        return {"precision": ["f32", "bf16"], "mode": modes, "batch": BATCHES[figure]}

    def random_images(self, batch):
        return self.rng.integers(0, 256, (batch, self.rows, self.columns, 3), np.uint8)

    def random_uniforms(self, batch):
        return self.rng.random((self.rows, self.columns, batch, 3), np.float32)

    def rate(self, figure, way, brief=False):
        """Images/s, warm. If brief, a rough figure: no more work than it takes."""
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
        """(a function to call, the images that one call makes)"""
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


# ---- In a process of its own, so that no peer's threads are in another's way ---------------------

_peer = None  # the worker's


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
    """A peer of `module` with the same methods as Peer; what they raise is raised here."""

    def __init__(self, module, path):
        self._pool = concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), _start, (module, path))

    def __getattr__(self, method):
        return lambda *arguments: self._pool.submit(_ask, method, *arguments).result()

"""Checks that the contestants compute the same model as tools/reference.py."""

import numpy as np

import reference
from figures import LIKELIHOOD, Way

TOLERANCE = {"f32": 1e-4, "bf16": 0.05, "int8": 0.01}  # relative error of a random image's nats
REDRAWN = 6  # number of pixels of an image to draw again


def random_image(config):
    shape = (config["image"]["height"], config["image"]["width"], 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def check_combiner(combiner, ways, image, expected, report):
    """combiner only reports sums over the image, one per channel."""
    for precision in sorted({way.precision for way in ways}):
        found = combiner.channel_nats(image, precision)
        compare(f"{combiner.describe()}, {precision}", found, expected.sum((0, 1)), precision,
                report)


def all_ways(contestant):
    """The ways of every precision and mode."""
    choices = contestant.choices(LIKELIHOOD)
    return {Way(1, precision, mode) for precision in choices["precision"]
            for mode in choices["mode"]}


def check_peer(peer, ways, image, expected, report):
    """Raises ValueError if the peer is wrong in f32, or in a precision and mode of `ways`.

    Checks the same functions that are measured: the likelihood in parallel, decoding with caches
    that is given the image's pixels, and the training loss. In f32, where rounding is unlikely to
    change a draw, it also checks that forward passes draw the same pixels as decoding with caches.
    """
    uniforms = np.random.default_rng(2).random((*image.shape[:2], 1, 3), np.float32)
    ways = {way._replace(batch=1) for way in ways}
    ways |= {way._replace(precision="f32") for way in ways}  # bf16 alone would hide small mistakes
    for way in sorted(ways, key=lambda way: (way.precision != "f32", way.mode)):
        what = f"{peer.describe()}, {way.precision}, {way.mode}"
        parallel = peer.nats(image[None], way)[0]
        compare(f"{what}: likelihood", parallel, expected, way.precision, report)
        drawn, nats = peer.decode(uniforms, image[None], len(image), way)
        if not np.array_equal(drawn[0], image):
            raise ValueError(f"{what}: decoding a given image makes another")
        compare(f"{what}: with caches, against the likelihood", nats[0], parallel, way.precision,
                report)
        if way.precision == "f32":
            drawn, _ = peer.decode(uniforms, None, len(image), way)
            places = np.linspace(0, image.shape[0] * image.shape[1] - 1, REDRAWN, dtype=int)
            again = peer.redraw(drawn.copy(), places.tolist(), uniforms.reshape(-1, 1, 3)[places],
                                way)
            if not np.array_equal(again, drawn):
                raise ValueError(f"{what}: forward passes draw other pixels than caches do")
        loss = peer.train_step(image[None], way)
        compare(f"{what}: training loss", loss, parallel.mean(), way.precision, report)


def compare(what, found, expected, precision, report):
    error = reference.relative_error(found, expected)
    report(f"{what}: relative error {error:.1e}")
    if not error < TOLERANCE[precision]:
        raise ValueError(f"{what}: relative error {error:.1e}, at most {TOLERANCE[precision]:g} is"
                         " rounding")

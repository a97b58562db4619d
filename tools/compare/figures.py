"""The figures that are measured, and the ways in which a contestant can run."""

from typing import NamedTuple

SAMPLE_ONE = "sampling, one image at a time"
SAMPLE_MANY = "sampling, 64 images at a time"
SAMPLE_FORWARD = "sampling, one image, a full forward pass per pixel"
LIKELIHOOD = "likelihood, best batch"
TRAIN_FOUR = "training, batch 4"
TRAIN = "training, best batch"

FIGURES = [SAMPLE_ONE, SAMPLE_MANY, SAMPLE_FORWARD, LIKELIHOOD, TRAIN_FOUR, TRAIN]
BATCHES = {SAMPLE_ONE: [1], SAMPLE_MANY: [64], SAMPLE_FORWARD: [1], LIKELIHOOD: [4, 1, 16],
           TRAIN_FOUR: [4], TRAIN: [8, 4, 16]}


class Way(NamedTuple):
    batch: int  # images at once
    precision: str  # f32, bf16 or int8
    mode: str  # how a peer runs it: jit, eager or compile; "" if there is only one mode

    def __str__(self):
        return ", ".join(filter(None, [self.precision, self.mode, f"batch {self.batch}"]))

"""Training, one step at a time, as src/training/trainer.h does it."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor

from .. import _combiner
from .data import Batches
from .model import Model
from .optimizer import FlatParameters, Optimizer
from .weights import new_model, save_model

_FORMAT = "combiner-checkpoint-1"
_VALIDATION_BATCH = 64


class Report(NamedTuple):
    """A step; the tensors are still being computed."""

    step: int  # steps made, including this one
    images: int  # seen so far
    bits_per_dim: Tensor
    gradient_norm: Tensor  # before clipping
    learning_rate: float


class Trainer:
    """options: _combiner.TrainingOptions. precision: "f32" or "bf16", in which products are
    computed (autocast). The weights are float32."""

    def __init__(self, config: Dict[str, Any], options, images: np.ndarray, precision: str,
                 device: torch.device, compiled: bool):
        self.config, self.options, self.device = config, options, device
        self.model = new_model(config, options.seed).to(device)
        kinds = _combiner.parameter_kinds(json.dumps(config))
        self._parameters = FlatParameters(self.model, kinds)
        self._average = self._parameters.values.clone()
        self._bf16 = precision == "bf16"
        self._optimizer = Optimizer(self._parameters, options,
                                    torch.bfloat16 if self._bf16 else torch.float32)
        self._batches = Batches(images, options.seed, options.flips, device)
        self._data_sample = _combiner.data_sample(images)
        self._training_images = len(images)
        self._loss = torch.compile(self._nats) if compiled else self._nats
        self.images = 0  # seen so far

    @property
    def steps(self) -> int:
        return self._optimizer.steps

    def _nats(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self.model.nats(images).mean()

    def step(self, fraction_done: float) -> Report:
        """One step on the next batch of images. `fraction_done`, 0 to 1, is of the whole
        training."""
        batch = self._batches.at(self.images, self.options.batch)
        self._parameters.gradient.zero_()
        nats = self._loss(batch)
        nats.backward()
        rate = self.options.learning_rate_at(self.steps, fraction_done)
        norm = self._optimizer.step(rate)
        # A young average forgets faster, because the first weights mean nothing.
        decay = min(self.options.average_decay, self.steps / (self.steps + 10))
        self._average.lerp_(self._parameters.values, 1 - decay)
        self.images += self.options.batch
        return Report(self.steps, self.images, nats.detach() / math.log(2), norm, rate)

    def is_finite(self) -> bool:
        """Whether all weights are finite. Waits for the device."""
        return bool(self._parameters.values.isfinite().all())

    def averaged(self) -> Model:
        """The trained model: a copy with the moving average of the weights."""
        model = Model(self.config).to(self.device)
        for name, parameter in model.named_parameters():
            parameter.data = self._parameters.places[name].of(self._average).clone()
        return model

    @torch.no_grad()
    def validate(self, images: np.ndarray) -> float:
        """The bits/dim of the average on these images."""
        model, nats = self.averaged(), 0.0
        for first in range(0, len(images), _VALIDATION_BATCH):
            batch = torch.from_numpy(images[first : first + _VALIDATION_BATCH]).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                nats += model.nats(batch).double().sum().item()
        return nats / images.size / math.log(2)

    def save_weights(self, path: pathlib.Path) -> None:
        """Writes the average, as BF16."""
        save_model(self.averaged(), path)

    # ---- Checkpoints: those of `combiner train`, which can go on from them

    def save(self, path: pathlib.Path, seconds: float) -> None:
        """Writes all that later steps depend on, and the seconds spent so far."""
        flat, optimizer = self._parameters.to_library, self._optimizer
        metadata = {
            "format": _FORMAT,
            "config": json.dumps(self.config),
            "training": self.options.json(),
            "training_images": str(self._training_images),
            "data_sample": self._data_sample,
            "step": str(self.steps),
            "images": str(self.images),
            "seconds": repr(seconds),
        }
        _combiner.write_checkpoint(path, metadata, {
            "weights": flat(self._parameters.values),
            "average": flat(self._average),
            "moment1": flat(optimizer.moment1),
            "moment2": flat(optimizer.moment2),
            "smooth_moment1": optimizer.smooth_to_library(optimizer.smooth1),
            "smooth_moment2": optimizer.smooth_to_library(optimizer.smooth2),
        })

    def restore(self, path: pathlib.Path, checkpoint: "Checkpoint") -> None:
        """Goes on from a checkpoint of a model with this config."""
        header, arrays = checkpoint
        then = checkpoint_options(path, checkpoint)
        if then.optimizer != self.options.optimizer:
            raise _combiner.Error(f"{path}: the checkpoint holds the memory of another optimiser; "
                                  "go on with the same")
        same_number = int(header["training_images"]) == self._training_images
        sample = header.get("data_sample", self._data_sample)
        if same_number and not _combiner.alike(sample, self._data_sample):
            raise _combiner.Error(f"{path}: the checkpoint was trained on {self._training_images} "
                                  "other images; go on with the same data set")
        optimizer = self._optimizer
        for name, flat in (("weights", self._parameters.values), ("average", self._average),
                           ("moment1", optimizer.moment1), ("moment2", optimizer.moment2)):
            self._parameters.from_library(arrays[name], flat)
        optimizer.smooth_from_library(arrays["smooth_moment1"], optimizer.smooth1)
        optimizer.smooth_from_library(arrays["smooth_moment2"], optimizer.smooth2)
        optimizer.steps, self.images = int(header["step"]), int(header["images"])


Checkpoint = Tuple[Dict[str, str], Dict[str, np.ndarray]]


def read_checkpoint(path: pathlib.Path) -> Checkpoint:
    """A checkpoint's metadata and tensors. Raises combiner.Error if it is none or is damaged."""
    return _combiner.read_checkpoint(path)


def checkpoint_options(path: pathlib.Path, checkpoint: Checkpoint):
    """The _combiner.TrainingOptions of a checkpoint."""
    return _combiner.TrainingOptions.parse(checkpoint[0]["training"], str(path))

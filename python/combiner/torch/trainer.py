"""Training, one step at a time, as src/training/trainer.h does it."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any, Dict, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import _combiner
from .checkpoint import Checkpoint, write_checkpoint
from .data import Batches
from .model import Model
from .optimizer import FlatParameters, Optimizer
from .weights import new_model, save_model

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
        self._precision, self._bf16 = precision, precision == "bf16"
        if precision == "f32":  # by default, PyTorch rounds factors of convolutions
            torch.backends.cudnn.allow_tf32 = False
        self._optimizer = Optimizer(self._parameters, options,
                                    torch.bfloat16 if self._bf16 else torch.float32)
        self._batches = Batches(images, options.seed, options.flips, device)
        self._data_sample = _combiner.data_sample(images)
        self._training_images = len(images)
        self._loss = torch.compile(self._nats) if compiled else self._nats
        self.images = 0  # seen so far
        self.is_whole = True  # whether no step has failed halfway

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
        self.is_whole = False
        norm = self._optimizer.step(rate)
        # A young average forgets faster, because the first weights mean nothing.
        decay = min(self.options.average_decay, self.steps / (self.steps + 10))
        self._average.lerp_(self._parameters.values, 1 - decay)
        self.images += self.options.batch
        self.is_whole = True
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

    # ---- Checkpoints

    def _flat(self) -> Dict[str, Tensor]:
        return {"weights": self._parameters.values, "average": self._average,
                "moment1": self._optimizer.moment1, "moment2": self._optimizer.moment2}

    def _smooth(self) -> Dict[str, Tensor]:
        return {"smooth_moment1": self._optimizer.smooth1,
                "smooth_moment2": self._optimizer.smooth2}

    def save(self, path: pathlib.Path, seconds: float) -> None:
        """Writes all that later steps depend on, and the seconds spent so far."""
        tensors = {name: self._parameters.to_library(flat) for name, flat in self._flat().items()}
        for name, moments in self._smooth().items():
            tensors[name] = self._optimizer.smooth_to_library(moments)
        write_checkpoint(path, Checkpoint(
            self.config, self.options, self._training_images, self._data_sample, self._precision,
            self.steps, self.images, seconds, tensors))

    def restore(self, path: pathlib.Path, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint, which was read from this path, of a model with this config."""
        if checkpoint.options.optimizer != self.options.optimizer:
            raise _combiner.Error(f"{path}: the checkpoint holds the state of another optimiser; "
                                  "go on with the same")
        same_number = checkpoint.training_images == self._training_images
        sample = checkpoint.data_sample or self._data_sample
        if same_number and not _combiner.alike(sample, self._data_sample):
            raise _combiner.Error(f"{path}: the checkpoint was trained on {self._training_images} "
                                  "other images; go on with the same data set and, if it is of "
                                  "several, in the same order")
        self._check_sizes(path, checkpoint.tensors)
        for name, flat in self._flat().items():
            self._parameters.from_library(checkpoint.tensors[name], flat)
        for name, moments in self._smooth().items():
            self._optimizer.smooth_from_library(checkpoint.tensors[name], moments)
        self._optimizer.steps, self.images = checkpoint.step, checkpoint.images

    def _check_sizes(self, path: pathlib.Path, tensors: Dict[str, np.ndarray]) -> None:
        sizes = dict.fromkeys(self._flat(), self._parameters.size)
        sizes.update((name, moments.numel()) for name, moments in self._smooth().items())
        for name, size in sizes.items():
            if name not in tensors:
                raise _combiner.Error(f"{path}: tensor {name} is missing")
            if tensors[name].shape != (size,):
                raise _combiner.Error(f"{path}: tensor {name} has the shape "
                                      f"{list(tensors[name].shape)}; expected [{size}]")

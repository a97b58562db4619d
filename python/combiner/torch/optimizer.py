"""The optimiser of `combiner train`: Muon or AdamW, with smooth value tables.

src/training/optimizer.h says what these are. All parameters lie in one flat tensor, their gradients
in another and so on, so that a step takes few operations, however many layers there are.
"""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor, nn

_VALUES = 256
_COSINES = 32
_ALIGNMENT = 16  # of a parameter's offset, in numbers: what matrix products want
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


class _Place(NamedTuple):
    offset: int
    shape: Tuple[int, ...]
    kind: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def of(self, flat: Tensor) -> Tensor:
        """The parameter's part of a flat tensor, in its shape."""
        return flat[self.offset : self.offset + self.size].view(self.shape)


class FlatParameters:
    """A model's parameters and their gradients, made parts of two flat tensors.

    kinds: "matrix", "value_table" or "other" by name, in the library's order.
    """

    def __init__(self, model: nn.Module, kinds: Dict[str, str]):
        parameters = dict(model.named_parameters())
        # What Muon takes comes last, matrices of one shape together.
        order = sorted(kinds, key=lambda name: (kinds[name] == "matrix",
                                                kinds[name] == "matrix" and parameters[name].shape))
        self.places: Dict[str, _Place] = {}
        end = 0
        for name in order:
            place = _Place(-(-end // _ALIGNMENT) * _ALIGNMENT, tuple(parameters[name].shape),
                           kinds[name])
            self.places[name] = place
            end = place.offset + place.size
        device = next(model.parameters()).device
        self.names = list(kinds)
        self.values = torch.zeros(end, device=device)
        self.gradient = torch.zeros_like(self.values)
        for name, place in self.places.items():
            place.of(self.values).copy_(parameters[name].data)
            parameters[name].data = place.of(self.values)
            parameters[name].grad = place.of(self.gradient)

    @property
    def size(self) -> int:
        """Of a flat array in the library's layout."""
        return sum(place.size for place in self.places.values())

    def to_library(self, flat: Tensor) -> np.ndarray:
        """A flat array in the library's layout."""
        host = flat.cpu()
        return torch.cat([self.places[name].of(host).flatten() for name in self.names]).numpy()

    def from_library(self, array: np.ndarray, flat: Tensor) -> None:
        """Fills a flat tensor from an array in the library's layout."""
        host, begin = torch.zeros(flat.shape), 0
        for name in self.names:
            place = self.places[name]
            part = torch.from_numpy(array[begin : begin + place.size])
            place.of(host).copy_(part.view(place.shape))
            begin += place.size
        flat.copy_(host)


class Optimizer:
    """options: _combiner.TrainingOptions. products: the type of the Newton-Schulz products."""

    def __init__(self, parameters: FlatParameters, options, products: torch.dtype):
        self.parameters, self.options, self.products = parameters, options, products
        self.steps = 0
        values = parameters.values
        self.moment1, self.moment2 = torch.zeros_like(values), torch.zeros_like(values)
        places = parameters.places.values()
        with_muon = options.optimizer == "muon"
        matrices = [place for place in places if place.kind == "matrix" and with_muon]
        self._adam_end = matrices[0].offset if matrices else len(values)
        self._groups = _by_shape(matrices)
        self._decay = torch.zeros_like(values)
        for place in places:
            if len(place.shape) > 1:
                place.of(self._decay).fill_(options.weight_decay)
        # In the library's order, that of the smooth moments in checkpoints.
        ordered = [parameters.places[name] for name in parameters.names]
        self._smooth = [place for place in ordered
                        if place.kind == "value_table" and place.shape[0] >= _VALUES]
        width = sum(place.size // place.shape[0] for place in self._smooth)
        self.smooth1, self.smooth2 = torch.zeros(2, _COSINES, width, device=values.device)
        place = torch.arange(_VALUES, dtype=torch.float64)[:, None] + 0.5
        cosines = torch.cos(math.pi / _VALUES * place * torch.arange(_COSINES))
        self._cosines = cosines.to(values.device, torch.float32)

    @torch.no_grad()
    def step(self, learning_rate: float) -> Tensor:
        """values -= learning_rate times the step for the clipped gradient. Returns the gradient's
        norm before that, a tensor, so that nothing waits for it."""
        gradient, values = self.parameters.gradient, self.parameters.values
        self.steps += 1
        norm = gradient.norm()
        gradient *= (self.options.clip_norm / norm.clamp(min=1e-30)).clamp(max=1)
        direction = torch.zeros_like(gradient)
        adam = slice(0, self._adam_end)
        direction[adam] = self._adam(gradient[adam], self.moment1[adam], self.moment2[adam])
        self._add_smooth(direction)
        for group in self._groups:
            self._muon(group, direction)
        values -= learning_rate * (direction + self._decay * values)
        return norm

    def _adam(self, gradient: Tensor, moment1: Tensor, moment2: Tensor) -> Tensor:
        beta1, beta2 = self.options.beta1, self.options.beta2
        moment1.lerp_(gradient, 1 - beta1)
        moment2.lerp_(gradient.square(), 1 - beta2)
        root = (moment2 / (1 - beta2**self.steps)).sqrt_().add_(self.options.epsilon)
        return moment1 / (1 - beta1**self.steps) / root

    def _add_smooth(self, direction: Tensor) -> None:
        def tables(flat: Tensor) -> List[Tensor]:
            return [place.of(flat)[:_VALUES].view(_VALUES, -1) for place in self._smooth]

        if not self._smooth:
            return
        gradient = self._cosines.T @ torch.cat(tables(self.parameters.gradient), 1)
        smooth = self._cosines @ self._adam(gradient, self.smooth1, self.smooth2)
        begin = 0
        for table in tables(direction):
            table += smooth[:, begin : begin + table.shape[1]]
            begin += table.shape[1]

    def _muon(self, group: "_Group", direction: Tensor) -> None:
        beta = self.options.muon_momentum
        momentum, gradient = group.of(self.moment1), group.of(self.parameters.gradient)
        momentum.lerp_(gradient, 1 - beta)
        x = gradient.lerp(momentum, beta)  # Nesterov: the momentum as the next step will see it
        x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-20)
        scale = 0.2 * math.sqrt(max(x.shape[1:]))
        group.of(direction).copy_(scale * orthogonal(x.to(self.products)).float())

    # ---- Checkpoints, in the library's layout

    def smooth_to_library(self, moments: Tensor) -> np.ndarray:
        """Table after table, each [32, width]."""
        parts = moments.cpu().split([place.size // place.shape[0] for place in self._smooth], 1)
        return torch.cat([part.flatten() for part in parts] or [torch.zeros(0)]).numpy()

    def smooth_from_library(self, array: np.ndarray, moments: Tensor) -> None:
        widths = [place.size // place.shape[0] for place in self._smooth]
        parts = torch.from_numpy(array).split([_COSINES * width for width in widths])
        if self._smooth:
            moments.copy_(torch.cat([part.view(_COSINES, -1) for part in parts], 1))


class _Group(NamedTuple):
    """Matrices of one shape that lie one after another."""

    offset: int
    count: int
    shape: Tuple[int, ...]

    def of(self, flat: Tensor) -> Tensor:  # [count, rows, columns]
        rows, columns = self.shape
        stride = -(-rows * columns // _ALIGNMENT) * _ALIGNMENT
        return flat.as_strided((self.count, rows, columns), (stride, columns, 1), self.offset)


def _by_shape(matrices: List[_Place]) -> List[_Group]:
    groups: List[_Group] = []
    for place in matrices:
        if groups and groups[-1].shape == place.shape:
            groups[-1] = groups[-1]._replace(count=groups[-1].count + 1)
        else:
            groups.append(_Group(place.offset, 1, place.shape))
    return groups


def orthogonal(x: Tensor) -> Tensor:
    """Matrices [n, rows, columns] of norm 1, made nearly orthogonal by Newton-Schulz steps."""
    a, b, c = _NEWTON_SCHULZ
    turned = x.shape[1] > x.shape[2]
    if turned:
        x = x.mT
    for _ in range(_NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = a * x + torch.baddbmm(square, square, square, beta=b, alpha=c) @ x
    return x.mT if turned else x

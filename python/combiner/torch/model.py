"""The whole model in PyTorch. Its parameters have the names that weights files give them.

Shapes in comments: B images of H x W pixels in K channels, a grid of R x C positions, D features.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import CombinerAttention

VALUES = 256  # of a sub-pixel
_OUTSIDE = VALUES  # the row of a context table for a neighbour outside the image


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def layer_variants(config: Dict[str, Any]) -> List[str]:
    """The attention variant of each layer."""
    names = config["attention"]
    return [names] * config["num_layers"] if isinstance(names, str) else list(names)


class Stem(nn.Module):
    """A convolution over earlier pixels, [B, H, W, K] to [B, H, W, D]. Its last input plane marks
    the inside of the image."""

    def __init__(self, channels: int, dim: int, rows: int, columns: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim, channels + 1, rows, columns))
        earlier = torch.ones(rows, columns)
        earlier[-1, columns // 2 :] = 0
        self.register_buffer("earlier", earlier, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.to(self.weight.dtype) / 127.5 - 1
        planes = torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1).permute(0, 3, 1, 2)
        rows, columns = self.earlier.shape
        padded = F.pad(planes, (columns // 2, columns // 2, rows - 1, 0))
        return F.conv2d(padded, self.weight * self.earlier).permute(0, 2, 3, 1)


class AxialPositions(nn.Module):
    """A learned row vector plus a learned column vector."""

    def __init__(self, rows: int, columns: int, dim: int):
        super().__init__()
        self.row, self.column = nn.Embedding(rows, dim), nn.Embedding(columns, dim)

    def forward(self) -> Tensor:  # [R, C, D]
        return self.row.weight[:, None] + self.column.weight


class LearnedPositions(nn.Module):
    """A learned vector for each position."""

    def __init__(self, rows: int, columns: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows * columns, dim))
        self.columns = columns

    def forward(self) -> Tensor:
        return self.weight.unflatten(0, (-1, self.columns))


class SinusoidalPositions(nn.Module):
    """A fixed function of the raster index."""

    def __init__(self, rows: int, columns: int, dim: int):
        super().__init__()
        half = dim // 2
        rates = torch.exp(torch.arange(half, dtype=torch.float64) * -(math.log(1e4) / (half - 1)))
        angles = torch.arange(rows * columns, dtype=torch.float64)[:, None] * rates
        table = torch.cat([angles.sin(), angles.cos()], 1).unflatten(0, (rows, columns))
        self.register_buffer("table", table.to(torch.get_default_dtype()), persistent=False)

    def forward(self) -> Tensor:
        return self.table


_POSITIONS = {"axial": AxialPositions, "learned": LearnedPositions,
              "sinusoidal": SinusoidalPositions}


class ImageEmbedding(nn.Module):
    """What each position sees of the values before it: [B, H, W, K] to [B, R, C, D]."""

    def __init__(self, config: Dict[str, Any]):
        super().__init__()
        image, dim = config["image"], config["embed_dim"]
        channels = image["channels"]
        self.start_token = config["start_token"]
        self.per_pixel = channels if config["tokens"] == "subpixel" else 1
        if config["tokens"] == "subpixel":
            self.token = nn.Embedding(max(VALUES, self.start_token + 1), dim)
        self.context = config["context"]
        for name in self.context:
            setattr(self, name, nn.ModuleList(nn.Embedding(VALUES + 1, dim)
                                              for _ in range(channels)))
        stem = config["stem"]
        self.stem = Stem(channels, dim, stem["rows"], stem["columns"]) if stem else None
        self.position = _POSITIONS[config["position"]](image["height"],
                                                       image["width"] * self.per_pixel, dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.position()[None]
        seen = self._pixels(images)
        if seen:
            x = x + sum(seen).repeat_interleave(self.per_pixel, 2)
        if self.start_token is not None:
            tokens = F.pad(images.flatten(1)[:, :-1], (1, 0), value=self.start_token)
            x = x + self.token(tokens.unflatten(1, (images.shape[1], -1)))
        return x

    def _pixels(self, images: Tensor) -> List[Tensor]:
        """What each pixel sees of earlier pixels: some of [B, H, W, D]."""
        padded = F.pad(images, (0, 0, 0, 0, 1, 0), value=_OUTSIDE)
        # In raster order.
        previous = padded.flatten(1, 2)[:, images.shape[2] - 1 : -1].view(images.shape)
        neighbours = {"previous": previous, "above": padded[:, :-1]}
        seen = [table(neighbours[name][..., c]) for name in self.context
                for c, table in enumerate(getattr(self, name))]
        return seen if self.stem is None else [*seen, self.stem(images)]


class Mlp(nn.Module):
    def __init__(self, config: Dict[str, Any]):
        super().__init__()
        self.up = nn.Linear(config["embed_dim"], config["mlp_dim"])
        self.down = nn.Linear(config["mlp_dim"], config["embed_dim"])
        self.activation = _gelu if config["activation"] == "gelu" else F.relu

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


class Block(nn.Module):
    """[B, R, C, D] to the same."""

    def __init__(self, config: Dict[str, Any], variant: str):
        super().__init__()
        dim, epsilon = config["embed_dim"], config["norm_epsilon"]
        rotary = config.get("rotary")
        self.norm1, self.norm2 = nn.LayerNorm(dim, epsilon), nn.LayerNorm(dim, epsilon)
        self.attention = CombinerAttention(variant, dim, config["num_heads"],
                                           rotary_base=rotary and rotary["base"],
                                           norm_epsilon=epsilon)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ChannelHead(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.hidden, self.output = nn.Linear(dim, dim), nn.Linear(dim, VALUES)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(_gelu(self.hidden(x)))


class PixelHead(nn.Module):
    """The logits of a pixel's channels, each of which sees the values of those before it."""

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.channels = channels
        for c in range(channels):
            self.add_module(str(c), ChannelHead(dim))
        self.embed = nn.ModuleList(nn.Embedding(VALUES, dim) for _ in range(channels - 1))

    def forward(self, x: Tensor, images: Tensor) -> Tensor:  # [B, H, W, K, 256]
        logits = []
        for c in range(self.channels):
            if c > 0:
                x = x + self.embed[c - 1](images[..., c - 1])
            logits.append(getattr(self, str(c))(x))
        return torch.stack(logits, -2)


class Model(nn.Module):
    """A likelihood model of images.

    config: as in weights files; docs/formats.md describes the fields. The weights are random, as
        PyTorch makes them; load_model() reads them from a file, and new_model() makes those that
        `combiner train` starts from.
    """

    def __init__(self, config: Dict[str, Any]):
        super().__init__()
        self.config = config
        dim = config["embed_dim"]
        self.embed = ImageEmbedding(config)
        self.blocks = nn.ModuleList(Block(config, variant) for variant in layer_variants(config))
        self.norm = nn.LayerNorm(dim, config["norm_epsilon"])
        self.head = (PixelHead(config["image"]["channels"], dim) if config["tokens"] == "pixel"
                     else nn.Linear(dim, VALUES))

    def forward(self, images: Tensor) -> Tensor:
        """The logits of each sub-pixel given all before it: [B, H, W, K, 256].

        images: [B, H, W, K] of whole numbers, 0 to 255, of any integer type.

        Raises TypeError for another type and ValueError for another shape.
        """
        images = self._whole(images)
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if isinstance(self.head, PixelHead):
            return self.head(x, images)
        return self.head(x).view(*images.shape, VALUES)

    def nats(self, images: Tensor) -> Tensor:
        """-log p of each sub-pixel given all before it: [B, H, W, K], in float32 or float64."""
        logits = self(images)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses = F.cross_entropy(logits.flatten(0, -2), images.long().flatten(), reduction="none")
        return losses.view(images.shape)

    def _whole(self, images: Tensor) -> Tensor:
        """Images of this model's size as indices."""
        image = self.config["image"]
        shape = (image["height"], image["width"], image["channels"])
        names = "[B, {}, {}, {}]".format(*shape)
        if images.is_floating_point() or images.is_complex() or images.dtype == torch.bool:
            raise TypeError(f"images is of {images.dtype}; expected an integer type {names}")
        if images.dim() != 4 or tuple(images.shape[1:]) != shape:
            raise ValueError(f"images has the shape {list(images.shape)}; expected {names}")
        return images.long()

"""The weights of a model file as the peers hold them, and the models that the peers support."""

from typing import NamedTuple

import numpy as np

OUTSIDE = 256  # the row of a context table for a neighbour outside the image


class Shape(NamedTuple):
    rows: int
    columns: int
    heads: int
    stem_rows: int
    stem_columns: int
    epsilon: float
    rotary: tuple  # rotary_tables

    @staticmethod
    def of(config):
        return Shape(config["image"]["height"], config["image"]["width"], config["num_heads"],
                     config["stem"]["rows"], config["stem"]["columns"], config["norm_epsilon"],
                     rotary_tables(config))


def rotary_tables(config):
    """Cosines and sines, each [R, C, 1, e / 2], of the angles by which rotary positions rotate the
    pairs of a head; None for a model without them."""
    if config.get("rotary") is None:
        return None
    head_dim = config["embed_dim"] // config["num_heads"]
    frequencies = config["rotary"]["base"] ** (-4.0 * np.arange(head_dim // 4) / head_dim)
    place = np.indices((config["image"]["height"], config["image"]["width"]))  # row, column
    angles = np.concatenate(place[..., None, None] * frequencies, -1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def require_supported(config):
    """Raises ValueError for a model that the peers don't support."""
    variants = config["attention"]
    variants = {variants} if isinstance(variants, str) else set(variants)
    found = {"tokens": config["tokens"], "attention": ", ".join(sorted(variants)),
             "position": config["position"], "activation": config["activation"],
             "context": ", ".join(config["context"]), "stem": config["stem"] is not None}
    expected = {"tokens": "pixel", "attention": "axial_rowmajor", "position": "axial",
                "activation": "gelu", "context": "previous, above", "stem": True}
    for field, value in expected.items():
        if found[field] != value:
            raise ValueError(f"the peers are written for {field} {value}, not {found[field]}")


def arrange(config, weights):
    """The weights as a tree of NumPy arrays, with dense weights [in, out].

    Query, key and value are one matrix, whose query part is scaled by 1 / sqrt(head_dim). The six
    context tables are one table of six times 257 rows. Norms and biased layers are (weight, bias).
    """
    weights = {name: np.asarray(weight, np.float32) for name, weight in weights.items()}

    def matrix(name):
        return weights[f"{name}.weight"].T

    def with_bias(name):
        return matrix(name), weights[f"{name}.bias"]

    def block(n):
        scale = np.float32((config["embed_dim"] / config["num_heads"]) ** -0.5)
        attention = f"blocks.{n}.attention"
        return {
            "norm1": with_bias(f"blocks.{n}.norm1"),
            "qkv": np.concatenate([scale * matrix(f"{attention}.query"),
                                   matrix(f"{attention}.key"), matrix(f"{attention}.value")], 1),
            "summary_output": matrix(f"{attention}.summary_output"),
            "summary_norm": with_bias(f"{attention}.summary_norm"),
            "summary_key": matrix(f"{attention}.summary_key"),
            "output": matrix(f"{attention}.output"),
            "norm2": with_bias(f"blocks.{n}.norm2"),
            "up": with_bias(f"blocks.{n}.mlp.up"),
            "down": with_bias(f"blocks.{n}.mlp.down"),
        }

    return {
        "tables": np.concatenate([weights[f"embed.{name}.{c}.weight"]
                                  for name in ("previous", "above") for c in range(3)]),
        "stem": stem_matrix(weights["embed.stem.weight"]),
        "row": weights["embed.position.row.weight"],
        "column": weights["embed.position.column.weight"],
        "blocks": [block(n) for n in range(config["num_layers"])],
        "norm": with_bias("norm"),
        "hidden": [with_bias(f"head.{c}.hidden") for c in range(3)],
        "output": [with_bias(f"head.{c}.output") for c in range(3)],
        "embed": [weights[f"head.embed.{c}.weight"] for c in range(2)],
    }


def stem_matrix(weight):
    """[D, 4, rows, columns] -> [rows columns 4, D]; taps that are not earlier become zero."""
    dim, planes, rows, columns = weight.shape
    earlier = np.arange(rows * columns) < (rows - 1) * columns + columns // 2
    taps = weight.transpose(2, 3, 1, 0) * earlier.reshape(rows, columns, 1, 1)
    return taps.reshape(rows * columns * planes, dim)

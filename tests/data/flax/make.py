#!/usr/bin/env python3
"""Saves a small model's random parameters with the real flax, as training code does.

    pip install flax          # 0.12.8, with jax 0.10.2, made the file that is here
    tests/data/flax/make.py tests/data/flax/axial_rowmajor.msgpack
"""

import sys

import numpy as np

LAYERS, DIM, HEADS, HIDDEN, VALUES = 2, 8, 2, 12, 256


def parameters():
    """The authors' row-major model: nested dictionaries as flax keeps them."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape, np.float32)

    def norm():
        return {"scale": draw(DIM), "bias": draw(DIM)}

    def dense(size_in, size_out):
        return {"kernel": draw(size_in, size_out), "bias": draw(size_out)}

    def split():
        return {"kernel": draw(DIM, HEADS, DIM // HEADS)}

    def joined():
        return {"kernel": draw(HEADS, DIM // HEADS, DIM)}

    def layer():
        return {
            "LayerNorm_0": norm(),
            "_SelfAttAxialRowmajor_0": {
                "query": split(), "key": split(), "value": split(), "DenseGeneral_0": joined(),
                "LayerNorm_0": norm(), "DenseGeneral_1": split(), "DenseGeneral_2": joined(),
            },
            "LayerNorm_1": norm(),
            "MlpBlock_0": {"Dense_0": dense(DIM, HIDDEN), "Dense_1": dense(HIDDEN, DIM)},
        }

    transformer = {f"transformer_layer_{n}": layer() for n in range(LAYERS)}
    return {"Embed_0": {"embedding": draw(VALUES, DIM)},
            "AutoregTransformer_0": transformer | {"LayerNorm_0": norm(),
                                                   "Dense_0": dense(DIM, VALUES)}}


def main():
    from flax import serialization

    serialization.MAX_CHUNK_SIZE = 3000  # so that the larger arrays are cut up, as huge ones are
    state = {"step": np.int32(1000), "params": parameters()}
    with open(sys.argv[1], "wb") as file:
        file.write(serialization.to_bytes(state))


if __name__ == "__main__":
    main()

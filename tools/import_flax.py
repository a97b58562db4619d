#!/usr/bin/env python3
"""Converts a checkpoint of the authors' JAX code to a model file.

    tools/import_flax.py CHECKPOINT --image 32x32 -o MODEL.safetensors

CHECKPOINT is msgpack, as flax.serialization.to_bytes or flax.training.checkpoints writes it, or an
npz of the parameters by their paths, such as AutoregTransformer_0/LayerNorm_0/scale. The sizes and
the attention variant come from the parameters; options set the rest. The weights are written as
F32.
"""

import argparse
import json
import math
import re
import sys

try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit("import_flax.py: needs NumPy (apt-get install python3-numpy)")

import safetensors_numpy
from flax_checkpoint import read_parameters
from flax_parameters import ATTENTION_LAYERS, EMBEDDING, from_flax, layer_name
from outputs import refuse_inputs
from reference_layers import ACTIVATIONS

VALUES = 256  # values that a byte can have


def shape_of(parameters, name, dimensions):
    if name not in parameters:
        raise ValueError(f"parameter {name} is missing")
    shape = parameters[name].shape
    if len(shape) != len(dimensions) or 0 in shape:
        raise ValueError(f"parameter {name} has shape {shape}, expected [{', '.join(dimensions)}]")
    return shape


def attention_variant(parameters, chosen):
    """(variant, name of the authors' layer): the chosen variant, or the layer's first."""
    found = [layer for layer in dict.fromkeys(ATTENTION_LAYERS.values())
             if any(name.startswith(f"{layer_name(0)}/{layer}/") for name in parameters)]
    if len(found) != 1:
        raise ValueError(f"{layer_name(0)} has {' and '.join(found) or 'none'} of the attention"
                         f" layers {', '.join(dict.fromkeys(ATTENTION_LAYERS.values()))}")
    variants = [variant for variant, layer in ATTENTION_LAYERS.items() if layer == found[0]]
    if chosen and chosen not in variants:
        raise ValueError(f"the parameters are of {found[0]}, which is {' or '.join(variants)},"
                         f" not {chosen}")
    return chosen or variants[0], found[0]


def config_of(parameters, options):
    """The model's config: sizes from the parameters' shapes, the rest from the options."""
    variant, attention = attention_variant(parameters, options.attention)
    _, dim = shape_of(parameters, EMBEDDING, ("tokens", "embed_dim"))
    query = f"{layer_name(0)}/{attention}/query/kernel"
    _, heads, head_dim = shape_of(parameters, query, ("embed_dim", "heads", "head_dim"))
    _, hidden = shape_of(parameters, f"{layer_name(0)}/MlpBlock_0/Dense_0/kernel",
                         ("embed_dim", "mlp_dim"))
    if heads * head_dim != dim:
        raise ValueError(f"parameter {query} has {heads} heads of {head_dim}, which don't make the"
                         f" embed_dim {dim} of {EMBEDDING}")
    if dim < 4 or dim % 2:
        raise ValueError(f"parameter {EMBEDDING} has an embed_dim of {dim}; sinusoidal positions"
                         " need an even number of at least 4")
    num_layers = 1
    while any(name.startswith(f"{layer_name(num_layers)}/") for name in parameters):
        num_layers += 1
    height, width = options.image
    return {
        "format": "combiner-1",
        "image": {"height": height, "width": width, "channels": options.channels},
        "tokens": "subpixel",
        "embed_dim": dim,
        "num_layers": num_layers,
        "num_heads": heads,
        "mlp_dim": hidden,
        "attention": variant,
        "activation": options.activation,
        "position": "sinusoidal",
        "context": [],
        "stem": None,
        "norm_epsilon": options.norm_epsilon,
        "start_token": options.start_token,
    }


def convert(parameters, options):
    """(config, weights in float32)"""
    for name, array in parameters.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"parameter {name} is {found}, expected an array of floating point")
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32))
        if not finite.all():
            raise ValueError(f"parameter {name} holds {array[~finite][0]}, not finite in float32")
    config = config_of(parameters, options)
    num_tokens = max(VALUES, config["start_token"] + 1)
    weights = from_flax(parameters, config, num_tokens, VALUES)
    return config, {name: weight.astype(np.float32) for name, weight in weights.items()}


def image_size(text):
    match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    size = tuple(map(int, match.groups())) if match else (0, 0)
    if not all(1 <= side <= 1024 for side in size):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HEIGHTxWIDTH with sides from 1 to 1024, such as 32x32")
    return size


def start_token(text):
    if not re.fullmatch("[0-9]{1,3}", text) or int(text) > VALUES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {VALUES}")
    return int(text)


def epsilon(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number above 0")
    return value


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT")
    parser.add_argument("-o", "--output", metavar="MODEL.safetensors", required=True)
    parser.add_argument("--image", type=image_size, metavar="HEIGHTxWIDTH", required=True,
                        help="size of the images in pixels")
    parser.add_argument("--channels", type=int, choices=range(1, 5), default=3,
                        help="bytes of a pixel (default: 3)")
    parser.add_argument("--attention", choices=list(ATTENTION_LAYERS),
                        help="default: what the parameters are of; for the mixture's layer, which"
                             " has the parameters of its halves too, axial_mixture")
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default="relu",
                        help="default: relu")
    parser.add_argument("--norm-epsilon", type=epsilon, default=1e-6, help="default: 1e-6")
    parser.add_argument("--start-token", type=start_token, default=0,
                        help="what the first position sees (default: 0)")
    options = parser.parse_args()
    refuse_inputs(parser, options.output, [options.checkpoint])
    return options


def main():
    options = parse_options()
    try:
        try:
            config, weights = convert(read_parameters(options.checkpoint), options)
        except ValueError as error:
            raise ValueError(f"{options.checkpoint}: {error}") from error
        safetensors_numpy.write(options.output, weights, {"config": json.dumps(config)})
    except (OSError, ValueError) as error:
        sys.exit(f"import_flax.py: {error}")
    size = sum(weight.size for weight in weights.values())
    print(f"{options.output}: {config['attention']}, {config['num_layers']} layers, {size:,}"
          " parameters")


if __name__ == "__main__":
    main()

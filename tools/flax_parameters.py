"""The parameters of the authors' JAX layers: their Flax names and shapes, and our names."""

import math
from typing import NamedTuple

# The authors' attention layer for each variant. The mixture's layer also serves its two halves,
# which have the same parameters but leave out the other half's abstractions.
ATTENTION_LAYERS = {
    "axial_rowmajor": "_SelfAttAxialRowmajor_0",
    "axial_mixture": "_AxialMixtureAtt_0",
    "axial_vertical": "_AxialMixtureAtt_0",
    "axial_horizontal": "_AxialMixtureAtt_0",
    "fixed": "_SelfAttSqrtn_0",
    "logsparse": "_SelfAttLogn_0",
}
EMBEDDING = "Embed_0/embedding"
TRANSFORMER = "AutoregTransformer_0"


def layer_name(n):
    return f"{TRANSFORMER}/transformer_layer_{n}"


class Parameter(NamedTuple):
    ours: str
    shape: tuple  # in Flax; a kernel is [in..., out...] where our weight is [out, in]
    inputs: int = None  # the number of inputs of a kernel, None for other parameters


def flax_parameters(config, num_tokens, num_values):
    """{Flax name: Parameter} of a model with num_tokens input tokens that predicts num_values
    values per byte.

    `config` has embed_dim, num_layers, num_heads, mlp_dim and a single name in attention.
    """
    dim, heads, hidden = config["embed_dim"], config["num_heads"], config["mlp_dim"]
    split, joined = (dim, heads, dim // heads), (heads, dim // heads, dim)
    parameters = {EMBEDDING: Parameter("embed.token.weight", (num_tokens, dim))}

    def add_norm(theirs, ours):
        parameters[f"{theirs}/scale"] = Parameter(f"{ours}.weight", (dim,))
        parameters[f"{theirs}/bias"] = Parameter(f"{ours}.bias", (dim,))

    def add_kernel(theirs, ours, shape, inputs):
        parameters[f"{theirs}/kernel"] = Parameter(f"{ours}.weight", shape, inputs)

    def add_dense(theirs, ours, size_in, size_out):
        add_kernel(theirs, ours, (size_in, size_out), size_in)
        parameters[f"{theirs}/bias"] = Parameter(f"{ours}.bias", (size_out,))

    for n in range(config["num_layers"]):
        theirs, ours = layer_name(n), f"blocks.{n}"
        add_norm(f"{theirs}/LayerNorm_0", f"{ours}.norm1")
        layer, attention = f"{theirs}/{ATTENTION_LAYERS[config['attention']]}", f"{ours}.attention"
        for name in ("query", "key", "value"):
            add_kernel(f"{layer}/{name}", f"{attention}.{name}", split, dim)
        output = 0  # number of the layer's last dense part
        if config["attention"] == "axial_rowmajor":
            add_kernel(f"{layer}/DenseGeneral_0", f"{attention}.summary_output", joined, dim)
            add_norm(f"{layer}/LayerNorm_0", f"{attention}.summary_norm")
            add_kernel(f"{layer}/DenseGeneral_1", f"{attention}.summary_key", split, dim)
            output = 2
        add_kernel(f"{layer}/DenseGeneral_{output}", f"{attention}.output", joined, dim)
        add_norm(f"{theirs}/LayerNorm_1", f"{ours}.norm2")
        add_dense(f"{theirs}/MlpBlock_0/Dense_0", f"{ours}.mlp.up", dim, hidden)
        add_dense(f"{theirs}/MlpBlock_0/Dense_1", f"{ours}.mlp.down", hidden, dim)
    add_norm(f"{TRANSFORMER}/LayerNorm_0", "norm")
    add_dense(f"{TRANSFORMER}/Dense_0", "head", dim, num_values)
    return parameters


def from_flax(arrays, config, num_tokens, num_values):
    """Weights with our names and shapes, from arrays by Flax name (without params/).

    Raises ValueError with the name of a parameter that is missing, unknown or wrongly shaped.
    """
    expected = flax_parameters(config, num_tokens, num_values)
    for name in sorted(expected.keys() - arrays.keys()):
        raise ValueError(f"parameter {name} is missing")
    for name in sorted(arrays.keys() - expected.keys()):
        raise ValueError(f"parameter {name} is unknown in a model with {config['attention']}"
                         f" attention and {config['num_layers']} layers")
    weights = {}
    for name, (ours, shape, inputs) in expected.items():
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(f"parameter {name} has shape {array.shape}, expected {shape}")
        if inputs is not None:
            array = array.reshape(inputs, math.prod(shape) // inputs).T
        weights[ours] = array
    return weights

"""Reads the parameters of a Flax checkpoint: msgpack as flax.serialization writes it, or an npz.

Both formats hold a tree of arrays. In msgpack this is a nested dictionary, with the arrays in
Flax's own extension types; in an npz the names are paths with slashes.
"""

import io
import math
import re

import numpy as np

from flax_parameters import EMBEDDING, TRANSFORMER
from reference_layers import scope

# Where the parameters may be in a checkpoint: the states of flax.optim and of flax.training, the
# variables of a module, or the parameters alone. They can't be found by searching, because the
# moments of an optimiser are trees with the same names.
PLACES = ("optimizer/target/params/", "optimizer/target/", "target/params/", "target/",
          "params/params/", "params/", "")


def read_parameters(path):
    """{name: array} of the authors' model, with names relative to its place in the tree.

    Raises ValueError if the file has neither format, is damaged or holds no such parameters.
    """
    with open(path, "rb") as file:
        content = file.read()
    if not content:
        raise ValueError("the file is empty")
    leaves = read_npz(content) if content.startswith(b"PK") else read_msgpack(content)
    for place in PLACES:
        parameters = scope(leaves, place)
        if any(name.startswith((EMBEDDING, TRANSFORMER + "/")) for name in parameters):
            return parameters
    top = sorted({name.split("/")[0] for name in leaves})
    raise ValueError(f"no parameters {EMBEDDING} and {TRANSFORMER}/... at the top or under"
                     f" {', '.join(p.rstrip('/') for p in PLACES if p)};"
                     f" at the top are {', '.join(top[:8]) or 'no arrays'}")


def read_npz(content):
    try:
        with np.load(io.BytesIO(content)) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged bytes
        raise ValueError(f"a damaged npz file: {error}") from error


# ---- Flax's msgpack -----------------------------------------------------------------------------


def read_msgpack(content):
    """{path with slashes: leaf}"""
    try:
        import msgpack  # imported here because an npz does not need it
    except ModuleNotFoundError as error:
        raise ValueError("a msgpack checkpoint needs Python's msgpack, the Debian package"
                         " python3-msgpack") from error

    def extension(code, data):
        if code in (1, 3):  # an array or a NumPy scalar
            return array_of(*msgpack.unpackb(data, raw=True))
        if code == 2:
            return complex(*msgpack.unpackb(data))
        raise ValueError(f"extension type {code} is not one of Flax")

    try:
        tree = msgpack.unpackb(content, ext_hook=extension, raw=False, strict_map_key=False)
        if not isinstance(tree, dict):
            raise ValueError("its content is not a dictionary")
        return leaves_of(tree)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError,
            msgpack.UnpackException) as error:
        raise ValueError(f"not a Flax checkpoint in msgpack, or a damaged one: {error}") from error


def array_of(shape, dtype, data):
    dtype = dtype.decode()
    if not re.fullmatch("bfloat16|(float|complex|u?int)[0-9]+|bool", dtype):
        raise ValueError(f"an array is of {dtype}, expected numbers")
    bfloat16 = dtype == "bfloat16"  # NumPy lacks bfloat16, which is the upper half of a float32
    kind = np.dtype("uint16" if bfloat16 else dtype)
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"an array of {dtype} {tuple(shape)} has {len(data)} bytes")
    array = np.frombuffer(data, kind).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if bfloat16 else array


def leaves_of(tree):
    leaves, nodes = {}, [("", tree)]
    while nodes:
        path, node = nodes.pop()
        if not isinstance(node, dict):
            leaves[path] = node
        elif "__msgpack_chunked_array__" in node:  # too large for one msgpack object
            leaves[path] = np.concatenate(in_order(node["chunks"])).reshape(in_order(node["shape"]))
        else:
            nodes += [(f"{path}/{key}" if path else str(key), child)
                      for key, child in node.items()]
    return leaves


def in_order(items):
    """Flax writes a tuple as a dictionary with the keys "0", "1", ..."""
    return [items[str(n)] for n in range(len(items))]

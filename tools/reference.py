#!/usr/bin/env python3
"""The whole model in plain NumPy, float64: the reference that the C++ must agree with.

    tools/reference.py MODEL.safetensors DATA.bin [--last N] [--limit N]
        nats per image and channel, and bits/dim, for the records of a CIFAR-10 binary file
    tools/reference.py --golden FILE|DIR...
        checks this program against outputs of the authors' JAX layers (Flax parameter names)
    tools/reference.py --make DIR
        writes the test data: small random models, images, and the models' outputs for them
    tools/reference.py --verify DIR
        computes the test data again and compares; checks that no logit sees its own or later bytes,
        and that rotary positions give attention the distances between positions and nothing else

Shapes in comments: H x W x C is the image, L = rows x columns the grid of positions, D embed_dim,
h heads of e = D / h features. Processes one image at a time, and computes every attention as a
masked matrix over all positions: slow, but easy to trust.
"""

import argparse
import json
import os
import sys

import numpy as np

import safetensors_numpy
from flax_parameters import ATTENTION_LAYERS, from_flax
from reference_attention import CAUSAL, ROTARY, SPARSE_BASELINES, attention, rotary_angles, turn
from reference_layers import ACTIVATIONS, dense, gelu, layer_norm, log_softmax, scope

OUTSIDE = 256  # the row of a context table for a neighbour outside the image


# ---- The forward pass ---------------------------------------------------------------------------


def attention_layer(a, w, config, variant, first=(0, 0)):
    """[L, D] -> [L, D] of the normalised block input; `first` is the first position's place."""
    w = scope(w, "attention.")
    out = attention(dense(a, w, "query"), dense(a, w, "key"), dense(a, w, "value"), CAUSAL[variant],
                    grid(config)[1], config["num_heads"], a, w, config["norm_epsilon"],
                    layer_angles(config, first))
    return dense(out, w, "output")


def layer_angles(config, first=(0, 0)):
    """The rotary angles [L, e / 2]; None without rotary positions."""
    if not config.get("rotary"):
        return None
    rows, columns = grid(config)
    row, column = np.divmod(np.arange(rows * columns), columns)
    return rotary_angles(first[0] + row, first[1] + column,
                         config["embed_dim"] // config["num_heads"], config["rotary"]["base"])


def grid(config):
    """(rows, columns) of the grid of positions."""
    image = config["image"]
    per_pixel = image["channels"] if config["tokens"] == "subpixel" else 1
    return image["height"], image["width"] * per_pixel


def layer_variants(config):
    names = config["attention"]
    return [names] * config["num_layers"] if isinstance(names, str) else names


def pixel_embedding(image, config, weights):
    """[H W, D]: what each pixel sees of earlier pixels, through the tables and the stem."""
    height, width, channels = image.shape
    pixels = image.reshape(-1, channels)
    outside = np.full((width, channels), OUTSIDE)
    neighbours = {
        "previous": np.concatenate([outside[:1], pixels[:-1]]),  # in raster order
        "above": np.concatenate([outside, pixels[:-width]]),
    }
    x = np.zeros((height * width, config["embed_dim"]))
    for name in config["context"]:
        for c in range(channels):
            x += weights[f"embed.{name}.{c}.weight"][neighbours[name][:, c]]
    if config["stem"]:
        x += stem(image, weights["embed.stem.weight"]).reshape(x.shape)
    return x


def strictly_earlier(rows, columns):
    """[rows, columns]: whether a tap of the stem's window precedes its pixel in raster order."""
    earlier = np.ones((rows, columns), bool)
    earlier[-1, columns // 2 :] = False
    return earlier


def stem(image, weight):
    """[H, W, D]: a convolution over earlier pixels; its last input channel marks the inside."""
    height, width, _ = image.shape
    _, _, rows, columns = weight.shape
    planes = np.concatenate([image / 127.5 - 1.0, np.ones((height, width, 1))], axis=2)
    side = columns // 2
    padded = np.pad(planes, ((rows - 1, 0), (side, side), (0, 0)))
    x = np.zeros((height, width, len(weight)))
    for r, c in np.argwhere(strictly_earlier(rows, columns)):
        x += padded[r : r + height, c : c + width] @ weight[:, :, r, c].T
    return x


def position_embedding(config, weights):
    """The embeddings [L, D] of the positions."""
    rows, columns = grid(config)
    if config["position"] == "learned":
        return weights["embed.position.weight"]
    if config["position"] == "axial":
        by_row = weights["embed.position.row.weight"]
        by_column = weights["embed.position.column.weight"]
        return (by_row[:, None] + by_column[None, :]).reshape(rows * columns, -1)
    half = config["embed_dim"] // 2  # sinusoidal
    frequencies = np.exp(-np.arange(half) * np.log(10000.0) / (half - 1))
    angles = np.arange(rows * columns)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def embedding(image, config, weights):
    """The embedding [L, D] of the image."""
    x = pixel_embedding(image, config, weights)
    if config["tokens"] == "subpixel":
        seen = np.concatenate([[config["start_token"]], image.reshape(-1)[:-1]])
        x = weights["embed.token.weight"][seen] + np.repeat(x, image.shape[2], axis=0)
    return x + position_embedding(config, weights)


def block(x, w, config, variant):
    epsilon = config["norm_epsilon"]
    x = x + attention_layer(layer_norm(x, w, "norm1", epsilon), w, config, variant)
    hidden = dense(layer_norm(x, w, "norm2", epsilon), w, "mlp.up")
    return x + dense(ACTIVATIONS[config["activation"]](hidden), w, "mlp.down")


def head(x, image, config, weights):
    """[H W C, vocabulary]: the logits of each byte, in raster order."""
    if config["tokens"] == "subpixel":
        return dense(x, weights, "head")
    pixels = image.reshape(-1, image.shape[2])
    logits = []
    for c in range(image.shape[2]):
        if c > 0:
            x = x + weights[f"head.embed.{c - 1}.weight"][pixels[:, c - 1]]
        hidden = gelu(dense(x, weights, f"head.{c}.hidden"))
        logits.append(dense(hidden, weights, f"head.{c}.output"))
    return np.stack(logits, axis=1).reshape(image.size, -1)


def forward(image, config, weights):
    """The logits [H W C, vocabulary] of an image [H, W, C] of integers."""
    image = image.astype(np.int64)
    x = embedding(image, config, weights)
    for n, variant in enumerate(layer_variants(config)):
        x = block(x, scope(weights, f"blocks.{n}."), config, variant)
    x = layer_norm(x, weights, "norm", config["norm_epsilon"])
    return head(x, image, config, weights)


def nats(logits, image):
    """[H, W, C]: -log p of each byte given all earlier bytes."""
    return -log_softmax(logits)[np.arange(image.size), image.reshape(-1)].reshape(image.shape)


# ---- Model files --------------------------------------------------------------------------------


def weight_shapes(config):
    """{name: shape} of every tensor in a model file."""
    rows, columns = grid(config)
    channels, dim, hidden = config["image"]["channels"], config["embed_dim"], config["mlp_dim"]
    shapes = {}

    def add_norm(name):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (dim,)

    def add_dense(name, size_out, size_in):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (size_out, size_in), (size_out,)

    if config["tokens"] == "subpixel":
        shapes["embed.token.weight"] = (max(256, config["start_token"] + 1), dim)
    for name in config["context"]:
        for c in range(channels):
            shapes[f"embed.{name}.{c}.weight"] = (OUTSIDE + 1, dim)
    if config["stem"]:
        window = config["stem"]
        shapes["embed.stem.weight"] = (dim, channels + 1, window["rows"], window["columns"])
    if config["position"] == "learned":
        shapes["embed.position.weight"] = (rows * columns, dim)
    elif config["position"] == "axial":
        shapes["embed.position.row.weight"] = (rows, dim)
        shapes["embed.position.column.weight"] = (columns, dim)

    for n, variant in enumerate(layer_variants(config)):
        add_norm(f"blocks.{n}.norm1")
        for name in ("query", "key", "value", "output"):
            shapes[f"blocks.{n}.attention.{name}.weight"] = (dim, dim)
        if variant == "axial_rowmajor":
            shapes[f"blocks.{n}.attention.summary_output.weight"] = (dim, dim)
            shapes[f"blocks.{n}.attention.summary_key.weight"] = (dim, dim)
            add_norm(f"blocks.{n}.attention.summary_norm")
        add_norm(f"blocks.{n}.norm2")
        add_dense(f"blocks.{n}.mlp.up", hidden, dim)
        add_dense(f"blocks.{n}.mlp.down", dim, hidden)

    add_norm("norm")
    if config["tokens"] == "subpixel":
        add_dense("head", 256, dim)
    else:
        for c in range(channels):
            add_dense(f"head.{c}.hidden", dim, dim)
            add_dense(f"head.{c}.output", 256, dim)
        for c in range(channels - 1):
            shapes[f"head.embed.{c}.weight"] = (256, dim)
    return shapes


def check_rotary(config):
    """Raises ValueError for rotary positions that models can't have; an absent field means null."""
    rotary = config.get("rotary")
    if rotary is None:
        return
    base = rotary["base"] if isinstance(rotary, dict) and rotary.keys() == {"base"} else None
    if type(base) not in (int, float) or not 0.0 < base < np.inf:
        raise ValueError(f"rotary is {json.dumps(rotary)}; expected null or an object with the"
                         " field base, a finite number above 0")
    head_dim = config["embed_dim"] // config["num_heads"]
    if head_dim % 4:
        raise ValueError(f"embed_dim / num_heads is {head_dim}; rotary positions need a multiple of"
                         " 4, pairs for the row and as many for the column")
    for variant in layer_variants(config):
        if variant not in ROTARY:
            raise ValueError(f"attention {variant} with rotary positions: the key of an abstraction"
                             f" has no position; those that may are {', '.join(sorted(ROTARY))}")


def load_model(path):
    """(config, weights in float64)"""
    tensors, metadata = safetensors_numpy.read(path)
    config = json.loads(metadata.get("config", "{}"))
    if config.get("format") != "combiner-1":
        raise ValueError(f"{path}: no config of format combiner-1 in the metadata")
    for variant in layer_variants(config):
        if variant not in CAUSAL:
            raise ValueError(f"{path}: attention {variant}; known are {', '.join(CAUSAL)}")
    try:
        check_rotary(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for name in [name for name, tensor in tensors.items() if tensor.dtype == np.int8]:
        scale = tensors.pop(f"{name}.scale", None)  # one scale per output, the first axis
        if scale is None or scale.shape != tensors[name].shape[:1]:
            raise ValueError(f"{path}: tensor {name}.scale is missing or no scale of each output")
        tensors[name] = (tensors[name].T * scale.astype(np.float64)).T
    expected = weight_shapes(config)
    for name in sorted(expected.keys() | tensors.keys()):
        found = tensors[name].shape if name in tensors else "missing"
        if found != expected.get(name):
            raise ValueError(f"{path}: tensor {name} is {found}, expected {expected.get(name)}")
    return config, {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def evaluate(model_path, data_path, last, limit):
    config, weights = load_model(model_path)
    shape = tuple(config["image"][k] for k in ("channels", "height", "width"))
    content = np.fromfile(data_path, np.uint8)
    if content.size == 0 or content.size % (1 + np.prod(shape)):
        raise ValueError(f"{data_path}: {content.size} bytes are not records of a label and an"
                         f" image of {shape}")
    records = content.reshape(-1, 1 + np.prod(shape))
    first = max(0, len(records) - last) if last else 0
    images = records[first:, 1:].reshape(-1, *shape).transpose(0, 2, 3, 1)[:limit]

    total = 0.0
    for k, image in enumerate(images):
        channels = nats(forward(image, config, weights), image).sum((0, 1))
        total += channels.sum()
        figures = " ".join(f"{x:.4f}" for x in channels)
        print(f"record {first + k}: {figures} nats", flush=True)
    print(f"{len(images)} images, {total / np.log(2.0) / images.size:.4f} bits/dim")


# ---- The authors' golden files ------------------------------------------------------------------


def golden_model(tensors, metadata):
    """(config, weights in float64) of a golden file, with the parameters under our names."""
    config = {
        "image": {"height": int(metadata["rows"]), "width": int(metadata["cols"]), "channels": 1},
        "tokens": "subpixel",
        "embed_dim": int(metadata["emb_dim"]),
        "num_layers": int(metadata["num_layers"]),
        "num_heads": int(metadata["num_heads"]),
        "mlp_dim": int(metadata["mlp_dim"]),
        "attention": metadata["attention"],
        "activation": metadata["activation"],
        "position": metadata["position"],
        "context": [],
        "stem": None,
        "norm_epsilon": float(metadata["norm_epsilon"]),
        "start_token": int(metadata["start_token"]),
    }
    vocabulary = int(metadata["vocab_size"])
    weights = from_flax(scope(tensors, "params/"), config, vocabulary, vocabulary)
    return config, {name: weight.astype(np.float64) for name, weight in weights.items()}


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def check_golden(paths):
    """Prints one line per file. Returns whether all agree within float32's rounding."""
    files = []
    for path in paths:
        inside = sorted(os.listdir(path)) if os.path.isdir(path) else [None]
        files += [os.path.join(path, f) if f else path for f in inside
                  if f is None or f.endswith(".safetensors")]
    all_ok = bool(files)
    for path in files:
        tensors, metadata = safetensors_numpy.read(path)
        if metadata.get("attention") not in ATTENTION_LAYERS:
            print(f"{path}: FAIL, attention {metadata.get('attention')} is not one of the authors'")
            all_ok = False
            continue
        config, weights = golden_model(tensors, metadata)
        images = tensors["golden/tokens"].reshape(-1, *grid(config), 1)
        logits = np.stack([forward(image, config, weights) for image in images])
        losses = np.stack([nats(l, image).reshape(-1) for l, image in zip(logits, images)])
        logit_error = relative_error(logits, tensors["golden/logits"])
        nll_error = np.abs(losses - tensors["golden/nll_nats"]).max()
        ok = logit_error < 1e-6 and nll_error < 1e-5
        all_ok = all_ok and ok
        print(f"{path}: relative logit error {logit_error:.2e}, largest nll error {nll_error:.2e}"
              f" {'ok' if ok else 'FAIL'}")
    return all_ok


# ---- Test data ----------------------------------------------------------------------------------

MAKE_COMMAND = "tools/reference.py --make tests/data/golden"


def case(image, tokens, position, attention, context=(), stem=None, activation="gelu",
         start_token=None, embed_dim=16, num_layers=2, num_heads=2, mlp_dim=24,
         norm_epsilon=1e-6, rotary=None):
    """A config; `rotary` is the base of rotary positions."""
    config = {
        "format": "combiner-1",
        "image": dict(zip(("height", "width", "channels"), (*image, 3))),
        "tokens": tokens,
        "embed_dim": embed_dim,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "mlp_dim": mlp_dim,
        "attention": attention,
        "activation": activation,
        "position": position,
        "context": list(context),
        "stem": dict(zip(("rows", "columns"), stem)) if stem else None,
        "norm_epsilon": norm_epsilon,
        "start_token": start_token,
    }
    if rotary:
        config["rotary"] = {"base": rotary}
    return config


# Sizes and head widths are odd on purpose. An epsilon of 1e-3 shows where it is used, unlike 1e-6.
CASES = {
    "pixel_rowmajor_all": case((5, 7), "pixel", "axial", "axial_rowmajor",
                               context=("previous", "above"), stem=(4, 7)),
    "pixel_rowmajor_plain": case((3, 5), "pixel", "learned", "axial_rowmajor",
                                 context=("previous",), num_heads=4),
    "pixel_full_stem": case((6, 4), "pixel", "sinusoidal", "full", stem=(2, 3),
                            activation="relu"),
    "pixel_mixed": case((3, 6), "pixel", "axial", ["axial_rowmajor", "full"],
                        context=("above", "previous"), mlp_dim=32, norm_epsilon=1e-3),
    "subpixel_rowmajor": case((5, 4), "subpixel", "sinusoidal", "axial_rowmajor",
                              activation="relu", start_token=0, embed_dim=24, num_heads=3),
    "subpixel_context": case((5, 3), "subpixel", "axial", "axial_rowmajor",
                             context=("previous", "above"), stem=(3, 5), start_token=256,
                             norm_epsilon=1e-3),
    "subpixel_full": case((3, 5), "subpixel", "learned", "full", start_token=256,
                          embed_dim=12, mlp_dim=20),
}


def variant_case(image, attention, **options):
    """A config as small as possible, because the cases above cover the other parts of a model."""
    return case(image, "subpixel", "sinusoidal", attention, start_token=0, embed_dim=8, mlp_dim=12,
                **options)


VARIANT_CASES = {
    "axial_vertical": variant_case((4, 1), "axial_vertical"),
    "axial_horizontal": variant_case((4, 1), "axial_horizontal"),
    "axial_mixture": variant_case((4, 2), "axial_mixture"),
    "fixed": variant_case((4, 1), "fixed"),
    "logsparse": variant_case((4, 1), "logsparse"),
    "axial": variant_case((4, 1), "axial"),
    "fixed_sparse": variant_case((4, 1), "fixed_sparse"),
    "logsparse_sparse": variant_case((4, 1), "logsparse_sparse"),
    "mixed_variants": variant_case((4, 1), ["axial_mixture", "fixed", "axial_rowmajor",
                                            "logsparse"], num_layers=4),
}

# Heads of 4, 8, 12 and 32 features. A head of 4 has one frequency, which is 1 for any base.
ROTARY_CASES = {
    "rotary_pixel_rowmajor": case((4, 6), "pixel", "axial", "axial_rowmajor",
                                  context=("previous", "above"), stem=(4, 7), rotary=100),
    "rotary_pixel_full": case((3, 5), "pixel", "learned", "full", context=("previous",),
                              activation="relu", rotary=20.5),
    "rotary_pixel_axial": case((4, 3), "pixel", "axial", "axial", context=("previous",),
                               embed_dim=8, mlp_dim=12, rotary=100),
    "rotary_pixel_fixed_sparse": case((4, 3), "pixel", "sinusoidal", "fixed_sparse",
                                      context=("above", "previous"), rotary=100),
    "rotary_pixel_logsparse_sparse": case((4, 3), "pixel", "sinusoidal", "logsparse_sparse",
                                          context=("previous",), embed_dim=8, num_heads=1,
                                          mlp_dim=12, rotary=100),
    "rotary_subpixel_rowmajor": case((4, 2), "subpixel", "sinusoidal", "axial_rowmajor",
                                     start_token=0, embed_dim=24, norm_epsilon=1e-3, rotary=100),
    "rotary_mixed": case((3, 2), "subpixel", "axial",
                         ["axial_rowmajor", "full", "axial", "fixed_sparse", "logsparse_sparse"],
                         start_token=256, embed_dim=32, num_layers=5, num_heads=1, rotary=100),
}
CASES |= VARIANT_CASES | ROTARY_CASES  # keep this order, because the index of a case is its seed
F32_CASES = {"pixel_rowmajor_plain"}  # all others are stored as BF16


def random_weights(config, rng):
    """Weights scaled so that neither logits nor attention are flat."""
    weights = {}
    for name, shape in weight_shapes(config).items():
        draw = rng.standard_normal(shape)
        if name.endswith("bias"):
            draw *= 0.1
        elif name == "embed.stem.weight":
            draw *= 1.5 / np.sqrt(np.prod(shape[1:])) * strictly_earlier(*shape[2:])
        elif "embed." in name:
            draw *= 0.5
        elif len(shape) == 1:  # the weight of a norm
            draw = 1.0 + 0.2 * draw
        else:
            draw *= 1.5 / np.sqrt(shape[1])
        weights[name] = draw
    return weights


def outputs(images, config, weights):
    """(logits [N, L, 256] or [N, L, 3, 256], nats [N, H, W, 3])"""
    flat = [forward(image, config, weights) for image in images]
    rows, columns = grid(config)
    per_position = (3, 256) if config["tokens"] == "pixel" else (256,)
    logits = np.stack(flat).reshape(len(images), rows * columns, *per_position)
    return logits, np.stack([nats(l, image) for l, image in zip(flat, images)])


def make(folder):
    os.makedirs(folder, exist_ok=True)
    for seed, (name, config) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        path = os.path.join(folder, f"{name}.safetensors")
        safetensors_numpy.write(path, random_weights(config, rng), {"config": json.dumps(config)},
                                "F32" if name in F32_CASES else "BF16")
        config, weights = load_model(path)  # exactly the stored weights
        shape = [config["image"][k] for k in ("height", "width", "channels")]
        count = 1 if name in VARIANT_CASES | ROTARY_CASES else 2
        images = rng.integers(0, 256, (count, *shape), np.uint8)
        logits, losses = outputs(images, config, weights)
        safetensors_numpy.write(os.path.join(folder, f"{name}.golden.safetensors"),
                                {"pixels": images, "logits": logits, "nats": losses},
                                {"command": MAKE_COMMAND})


def causality_fault(image, config, weights):
    """Changes every byte in turn. Describes a logit that sees what it must not, or a byte that is
    not seen; returns None if there is no fault."""
    if config["stem"]:  # files hold zeros in the masked taps, but their values must not matter
        taps = weights["embed.stem.weight"]
        noise = np.linspace(-1.0, 1.0, len(taps)).reshape(-1, 1, 1, 1)
        weights = {**weights, "embed.stem.weight": np.where(taps == 0.0, noise, taps)}
    before = forward(image, config, weights)
    # A model with neither tokens nor the previous pixel sees some neighbours only from later rows.
    # The sparse baselines skip some positions.
    sees_all = ((config["tokens"] == "subpixel" or "previous" in config["context"])
                and not SPARSE_BASELINES & set(layer_variants(config)))
    for t in range(image.size):
        changed = image.copy()
        changed.reshape(-1)[t] ^= 0x80
        difference = np.abs(forward(changed, config, weights) - before).max(-1)
        if difference[: t + 1].max() > 1e-12:  # leaves room for a different order of summation
            return f"byte {t} changes logits at or before it"
        later = difference[t + 1 :] > 1e-12
        if later.size and not (later.all() if sees_all else later.any()):
            return f"byte {t} is not seen by the logits after it"
    return None


def tell_distances(products, distances):
    """Whether products are equal exactly where distances are equal."""
    groups = [products[distances == d] for d in np.unique(distances)]
    return (max(np.ptp(group) for group in groups) < 1e-12
            and np.diff(np.sort([group[0] for group in groups])).min() > 1e-6)


def rotary_fault(config, weights):
    """Describes where positions are not rotated as defined, or where attention depends on more than
    the rows and columns between two positions; returns None if there is no fault."""
    rows, columns = grid(config)
    row, column = np.divmod(np.arange(rows * columns), columns)
    size, base = config["embed_dim"] // config["num_heads"], config["rotary"]["base"]
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, size))
    angles = layer_angles(config)
    queries, keys = turn(query, angles), turn(key, angles)  # the same two at every position

    half, quarter = size // 2, size // 4
    for i in range(half):  # check again with complex numbers
        place = row if i < quarter else column
        turned = (query[i] + 1j * query[half + i]) * np.exp(
            1j * place * base ** (-4 * (i % quarter) / size))
        if np.abs(queries[:, i] + 1j * queries[:, half + i] - turned).max() > 1e-12:
            return f"pair {i} is not turned by its angle"
    products = queries @ keys.T
    for what, same, place in (("row", row, column), ("column", column, row)):
        inside = np.equal.outer(same, same)
        if not tell_distances(products[inside], np.subtract.outer(place, place)[inside]):
            return f"the product with a key of the {what} does not tell the distance and no more"

    a = rng.standard_normal((rows * columns, config["embed_dim"]))
    for n, variant in enumerate(layer_variants(config)):
        w = scope(weights, f"blocks.{n}.")
        out = attention_layer(a, w, config, variant)
        if relative_error(attention_layer(a, w, config, variant, first=(5, 3)), out) > 1e-12:
            return f"{variant} depends on more than the distances between positions"
        if relative_error(attention_layer(a, w, {**config, "rotary": None}, variant), out) < 1e-3:
            return f"{variant} is the same without rotary positions"
    return None


def verify(folder):
    """Prints one line per case. Returns whether all are causal and agree to float32's rounding."""
    all_ok = True
    for name, config in CASES.items():
        stored_config, weights = load_model(os.path.join(folder, f"{name}.safetensors"))
        stored, _ = safetensors_numpy.read(os.path.join(folder, f"{name}.golden.safetensors"))
        logits, losses = outputs(stored["pixels"], stored_config, weights)
        logit_error = relative_error(logits, stored["logits"])
        nats_error = relative_error(losses, stored["nats"])
        faults = []
        if stored_config != config:
            faults.append("the stored config is not this program's")
        if not (logit_error < 1e-6 and nats_error < 1e-6):
            faults.append("the stored outputs are not this program's")
        faults.append(causality_fault(stored["pixels"][0], config, weights))
        if name in ROTARY_CASES:
            faults.append(rotary_fault(config, weights))
        faults = [fault for fault in faults if fault]
        all_ok = all_ok and not faults
        print(f"{name}: relative error of logits {logit_error:.2e}, of nats {nats_error:.2e},"
              f" {'FAIL: ' + '; '.join(faults) if faults else 'causal, ok'}")
    return all_ok


def positive(text):
    value = int(text)
    if value <= 0:
        raise ValueError
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="MODEL.safetensors")
    parser.add_argument("data", nargs="?", metavar="DATA.bin")
    parser.add_argument("--last", type=positive, metavar="N", help="only the file's last N records")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N of those")
    parser.add_argument("--golden", nargs="+", metavar="PATH")
    parser.add_argument("--make", metavar="DIR")
    parser.add_argument("--verify", metavar="DIR")
    options = parser.parse_args()
    try:
        if options.golden:
            sys.exit(0 if check_golden(options.golden) else 1)
        elif options.make:
            make(options.make)
        elif options.verify:
            sys.exit(0 if verify(options.verify) else 1)
        elif options.data:
            evaluate(options.model, options.data, options.last, options.limit)
        else:
            parser.error("nothing to do: give MODEL and DATA, or --golden, --make or --verify")
    except (OSError, ValueError) as error:
        sys.exit(f"reference.py: {error}")


if __name__ == "__main__":
    main()

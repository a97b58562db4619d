"""The model in JAX: an image in parallel over positions, and pixel by pixel with caches.

Shapes in comments: B images of R x C pixels, D features, h heads of e = D / h features. Weights are
a tree as made by parameters.arrange; their type is the type of the factors of all products.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from parameters import OUTSIDE


def layer_norm(x, norm, epsilon):
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return (centred * lax.rsqrt(variance + epsilon)).astype(x.dtype) * norm[0] + norm[1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(spec, x, y):
    """jnp.einsum of two factors, accumulated in f32. XLA's fast products of bf16 (on AMX, for
    example) need f32 results, and factors in the order in which the result has their indices."""
    of_x, of_y, of_product = spec.replace("->", ",").split(",")
    if next(i for i in of_product if (i in of_x) != (i in of_y)) in of_y:
        spec, x, y = f"{of_y},{of_x}->{of_product}", y, x
    return jnp.einsum(spec, x, y, preferred_element_type=jnp.float32).astype(x.dtype)


def product_and_factors(spec, x, y):
    return product(spec, x, y), (x, y)


def product_gradients(spec, factors, gradient):
    x, y = factors
    of_x, of_y, of_product = spec.replace("->", ",").split(",")
    return (product(f"{of_product},{of_y}->{of_x}", gradient, y),
            product(f"{of_x},{of_product}->{of_y}", x, gradient))


product.defvjp(product_and_factors, product_gradients)


def times(x, matrix):  # [..., n] [n, m] -> [..., m]
    out = product("in,nm->im", x.reshape(-1, x.shape[-1]), matrix)
    return out.reshape(*x.shape[:-1], -1)


def dense(x, layer):
    return times(x, layer[0]) + layer[1]


def split_heads(x, heads):  # [..., D] -> [..., h, e]
    return x.reshape(*x.shape[:-1], heads, -1)


def join_heads(x):  # [..., h, e] -> [..., D]
    return x.reshape(*x.shape[:-2], -1)


def turn(x, rotary):
    """Rotates x [..., h, e] by cosines and sines [..., 1, e / 2], unless None."""
    if rotary is None:
        return x
    cos, sin = rotary
    a, b = jnp.split(x.astype(jnp.float32), 2, -1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1).astype(x.dtype)


def query_key_value(a, block, shape, rotary):
    """Three of [..., h, e]; `rotary` is passed to turn."""
    q, k, v = [split_heads(x, shape.heads) for x in jnp.split(times(a, block["qkv"]), 3, -1)]
    return turn(q, rotary), turn(k, rotary), v


def summary_keys(values, a, block, shape, rotary):
    """The summaries' keys [..., h, e] from their values and the attention's input [..., D]."""
    hidden = times(join_heads(values), block["summary_output"]) + a
    hidden = layer_norm(hidden, block["summary_norm"], shape.epsilon)
    return turn(split_heads(times(hidden, block["summary_key"]), shape.heads), rotary)


def mlp(x, block, shape):
    hidden = dense(layer_norm(x, block["norm2"], shape.epsilon), block["up"])
    return x + dense(jax.nn.gelu(hidden), block["down"])


def channel_logits(h, c, params):
    """The logits [..., 256] in f32 of channel c, from the head's input for it."""
    hidden = jax.nn.gelu(dense(h, params["hidden"][c]))
    return dense(hidden, params["output"][c]).astype(jnp.float32)


def table_rows(previous, above):
    """[..., 6]: the rows of the context tables for two neighbours [..., 3]."""
    return jnp.concatenate([previous, above], -1) + jnp.arange(6) * (OUTSIDE + 1)


def scale_pixels(pixels):
    """[..., 3] -> [..., 4]: the stem's input planes inside the image."""
    scaled = pixels.astype(jnp.float32) / 127.5 - 1.0
    return jnp.concatenate([scaled, jnp.ones_like(scaled[..., :1])], -1)


def pad_planes(planes, shape):
    side = shape.stem_columns // 2
    return jnp.pad(planes, ((0, 0), (shape.stem_rows - 1, 0), (side, side), (0, 0)))


# ---- In parallel --------------------------------------------------------------------------------


def embedding(images, params, shape):  # [B, R, C, 3] -> [B, R, C, D]
    batch, rows, columns, _ = images.shape
    above = jnp.pad(images, ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=OUTSIDE)
    flat = above.reshape(batch, -1, 3)
    above = above[:, :-1]
    previous = flat[:, columns - 1 : -1].reshape(images.shape)  # in raster order
    x = params["tables"][table_rows(previous, above)].sum(-2)
    planes = pad_planes(scale_pixels(images), shape).astype(x.dtype)
    windows = [planes[:, r : r + rows, c : c + columns] for r in range(shape.stem_rows)
               for c in range(shape.stem_columns)]
    x += times(jnp.concatenate(windows, -1), params["stem"])  # faster than a convolution
    return x + params["row"][:, None] + params["column"]


def attention(x, block, shape):  # [B, R, C, D] -> [B, R, C, D]
    a = layer_norm(x, block["norm1"], shape.epsilon)
    q, k, v = query_key_value(a, block, shape, shape.rotary)  # [B, R, C, h, e]
    row_scores = product("brihe,brjhe->brhij", q, k).astype(jnp.float32)
    whole_row = jax.nn.softmax(row_scores, -1).astype(x.dtype)
    values = product("brhij,brjhe->brihe", whole_row, v)
    keys = summary_keys(values, a, block, shape, shape.rotary)
    column_scores = product("brche,bpche->bchrp", q, keys).astype(jnp.float32)

    # One softmax over the row so far and the summaries above.
    causal = jnp.tri(shape.columns, dtype=bool)
    strict = jnp.tri(shape.rows, k=-1, dtype=bool)
    row_scores = jnp.where(causal, row_scores, -jnp.inf)
    column_scores = jnp.where(strict, column_scores, -jnp.inf)
    swap = partial(jnp.swapaxes, axis1=1, axis2=3)  # [B, R, h, C] and [B, C, h, R]
    most = lax.stop_gradient(jnp.maximum(row_scores.max(-1), swap(column_scores.max(-1))))
    of_row = jnp.exp(row_scores - most[..., None])
    of_column = jnp.exp(column_scores - swap(most)[..., None])
    total = of_row.sum(-1) + swap(of_column.sum(-1))
    out = product("brhij,brjhe->brihe", of_row.astype(x.dtype), v)
    out += product("bchrp,bpche->brche", of_column.astype(x.dtype), values)
    out /= jnp.swapaxes(total, 2, 3)[..., None].astype(x.dtype)
    return x + times(join_heads(out), block["output"])


def trunk(images, params, shape):  # [B, R, C, D], the input of the heads
    x = embedding(images, params, shape)
    for block in params["blocks"]:
        x = mlp(attention(x, block, shape), block, shape)
    return layer_norm(x, params["norm"], shape.epsilon)


def nats(images, params, shape):  # [B, R, C, 3]
    h = trunk(images, params, shape)
    losses = []
    for c in range(3):
        if c > 0:
            h += params["embed"][c - 1][images[..., c - 1]]
        log_p = jax.nn.log_softmax(channel_logits(h, c, params), -1)
        losses.append(-jnp.take_along_axis(log_p, images[..., c, None], -1)[..., 0])
    return jnp.stack(losses, -1)


# ---- Pixel by pixel -----------------------------------------------------------------------------


def draw_pixel(h, uniforms, given, is_given, params):
    """A pixel [B, 3] and its nats [B, 3]: the given pixel, or one drawn with uniforms [B, 3]."""
    values, losses = [], []
    for c in range(3):
        if c > 0:
            h += params["embed"][c - 1][values[-1]]
        log_p = jax.nn.log_softmax(channel_logits(h, c, params), -1)
        cumulative = jnp.cumsum(jnp.exp(log_p), -1)
        drawn = (cumulative < uniforms[:, c, None] * cumulative[:, -1:]).sum(-1)
        value = jnp.where(is_given, given[:, c], jnp.minimum(drawn, 255))
        values.append(value)
        losses.append(-jnp.take_along_axis(log_p, value[:, None], -1)[:, 0])
    return jnp.stack(values, -1), jnp.stack(losses, -1)


def redraw_pixel(images, p, uniforms, params, shape):
    """Images with pixel p drawn again from a forward pass over whole images, without caches."""
    flat = images.reshape(len(images), -1, 3)
    h = trunk(images, params, shape).reshape(*flat.shape[:2], -1)
    h = lax.dynamic_index_in_dim(h, p, 1, False)
    value, _ = draw_pixel(h, uniforms, flat[:, 0], False, params)
    return lax.dynamic_update_index_in_dim(flat, value, p, 1).reshape(images.shape)


def attend_cached(q, direct, summaries, r, c):
    """[B, h, e]; the keys and values are [B, h, C, e] of the row and [B, h, R, e] of a column."""
    row_keys, row_values = direct
    keys, values = summaries
    columns, rows = row_keys.shape[2], keys.shape[2]
    row_scores = product("bhe,bhje->bhj", q, row_keys)
    column_scores = product("bhe,bhje->bhj", q, keys)
    scores = jnp.concatenate([row_scores, column_scores], -1).astype(jnp.float32)
    seen = jnp.concatenate([jnp.arange(columns) <= c, jnp.arange(rows) < r])
    p = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1).astype(q.dtype)
    return (product("bhj,bhje->bhe", p[..., :columns], row_values)
            + product("bhj,bhje->bhe", p[..., columns:], values))


def decode(uniforms, given, is_given, num_rows, params, shape):
    """(images [B, R, C, 3], nats): the first rows of images, drawn or, if is_given, as given.

    uniforms and given are [R, C, B, 3]; num_rows may be traced. The cache of a layer holds the keys
    and values of its summaries, two of [C, B, h, R, e], and during a row that row's as well.
    """
    rows, columns, batch, _ = uniforms.shape
    dim = params["row"].shape[1]
    dtype = params["row"].dtype
    head_dim = dim // shape.heads
    side = shape.stem_columns // 2
    rotary = shape.rotary and [jnp.asarray(table) for table in shape.rotary]

    def pixel(c, carry, r, summaries):
        flat, planes, losses, row_caches = carry
        p = r * columns + c
        previous = lax.dynamic_index_in_dim(flat, p + columns - 1, 1, False)
        above = lax.dynamic_index_in_dim(flat, p, 1, False)
        x = params["tables"][table_rows(previous, above)].sum(-2)
        window = lax.dynamic_slice(planes, (0, r, c, 0),
                                   (batch, shape.stem_rows, shape.stem_columns, 4))
        x += times(window.reshape(batch, -1), params["stem"])
        x += params["row"][r] + params["column"][c]
        turns = rotary and [table[r, c] for table in rotary]
        new_caches = []
        for block, (keys, values, inputs, queries), (s_keys, s_values) in zip(
                params["blocks"], row_caches, summaries):
            a = layer_norm(x, block["norm1"], shape.epsilon)
            q, k, v = query_key_value(a, block, shape, turns)  # [B, h, e]
            keys = keys.at[:, :, c].set(k)
            values = values.at[:, :, c].set(v)
            out = attend_cached(q, (keys, values), (s_keys[c], s_values[c]), r, c)
            x = mlp(x + times(join_heads(out), block["output"]), block, shape)
            new_caches.append((keys, values, inputs.at[c].set(a), queries.at[:, :, c].set(q)))
        h = layer_norm(x, params["norm"], shape.epsilon)
        value, loss = draw_pixel(h, uniforms[r, c], given[r, c], is_given, params)
        flat = lax.dynamic_update_index_in_dim(flat, value[:, None], p + columns, 1)
        planes = lax.dynamic_update_slice(
            planes, scale_pixels(value).astype(dtype)[:, None, None],
            (0, r + shape.stem_rows - 1, c + side, 0))
        return flat, planes, losses.at[r, c].set(loss), new_caches

    def row(r, carry):
        flat, planes, losses, summaries = carry
        tile = jnp.zeros((batch, shape.heads, columns, head_dim), dtype)
        caches = [(tile, tile, jnp.zeros((columns, batch, dim), dtype), tile)
                  for _ in params["blocks"]]
        flat, planes, losses, caches = lax.fori_loop(
            0, columns, partial(pixel, r=r, summaries=summaries), (flat, planes, losses, caches))
        turns = rotary and [table[r][:, None] for table in rotary]
        new_summaries = []
        for block, (keys, values, a, q), (s_keys, s_values) in zip(params["blocks"], caches,
                                                                   summaries):
            scores = product("bhie,bhje->bhij", q, keys).astype(jnp.float32)
            p = jax.nn.softmax(scores, -1).astype(dtype)
            new_values = product("bhij,bhje->ibhe", p, values)
            new_keys = summary_keys(new_values, a, block, shape, turns)
            new_summaries.append((s_keys.at[:, :, :, r].set(new_keys),
                                  s_values.at[:, :, :, r].set(new_values)))
        return flat, planes, losses, new_summaries

    column = jnp.zeros((columns, batch, shape.heads, rows, head_dim), dtype)
    # Only drawn pixels differ from the outside, because masked taps see nothing of the rest.
    inside = jnp.zeros((batch, rows, columns, 4), dtype).at[..., 3].set(1)
    carry = (jnp.full((batch, (rows + 1) * columns, 3), OUTSIDE), pad_planes(inside, shape),
             jnp.zeros((rows, columns, batch, 3)), [(column, column)] * len(params["blocks"]))
    flat, _, losses, _ = lax.fori_loop(0, num_rows, row, carry)
    return (flat[:, columns:].reshape(batch, rows, columns, 3), losses.transpose(2, 0, 1, 3))

"""The model in PyTorch: an image in parallel over positions, and pixel by pixel with caches.

Shapes in comments: B images of R x C pixels, D features, h heads of e = D / h features. Weights are
a tree as made by parameters.arrange; their type is the type of all products.
"""

import torch
import torch.nn.functional as F

from parameters import OUTSIDE


def layer_norm(x, norm, epsilon):
    return F.layer_norm(x, x.shape[-1:], *norm, epsilon)


def dense(x, layer):
    weight, bias = layer
    return torch.addmm(bias, x.flatten(0, -2), weight).view(*x.shape[:-1], -1)


def split_heads(x, heads):  # [..., D] -> [..., h, e]
    return x.unflatten(-1, (heads, -1))


def turn(x, rotary):
    """Rotates x [..., h, e] by cosines and sines [..., 1, e / 2], unless None."""
    if rotary is None:
        return x
    cos, sin = rotary
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


def query_key_value(a, block, shape, rotary):
    """Three of [..., h, e]; `rotary` is passed to turn."""
    q, k, v = [split_heads(x, shape.heads) for x in (a @ block["qkv"]).chunk(3, -1)]
    return turn(q, rotary), turn(k, rotary), v


def summary_keys(values, a, block, shape, rotary):
    """The summaries' keys [..., h, e] from their values and the attention's input [..., D]."""
    hidden = values.flatten(-2) @ block["summary_output"] + a
    hidden = layer_norm(hidden, block["summary_norm"], shape.epsilon)
    return turn(split_heads(hidden @ block["summary_key"], shape.heads), rotary)


def gelu(x):
    return F.gelu(x, approximate="tanh")


def mlp(x, block, shape):
    hidden = dense(layer_norm(x, block["norm2"], shape.epsilon), block["up"])
    return x + dense(gelu(hidden), block["down"])


def channel_log_p(h, c, params):
    """The log probabilities [..., 256] in f32 of channel c, from the head's input for it."""
    hidden = gelu(dense(h, params["hidden"][c]))
    return dense(hidden, params["output"][c]).float().log_softmax(-1)


def table_rows(previous, above):
    """[..., 6]: the rows of the context tables for two neighbours [..., 3]."""
    return torch.cat([previous, above], -1) + torch.arange(6) * (OUTSIDE + 1)


def scale_pixels(pixels):
    """[..., 3] -> [..., 4]: the stem's input planes inside the image."""
    scaled = pixels / 127.5 - 1.0
    return torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1)


def pad_planes(planes, shape):
    side = shape.stem_columns // 2
    return F.pad(planes, (0, 0, side, side, shape.stem_rows - 1, 0))


# ---- In parallel --------------------------------------------------------------------------------


def embedding(images, params, shape):  # [B, R, C, 3] -> [B, R, C, D]
    batch, rows, columns, _ = images.shape
    padded = F.pad(images, (0, 0, 0, 0, 1, 0), value=OUTSIDE)
    previous = padded.flatten(1, 2)[:, columns - 1 : -1].view(images.shape)  # in raster order
    x = params["tables"][table_rows(previous, padded[:, :-1])].sum(-2)
    planes = pad_planes(scale_pixels(images), shape).to(x.dtype)
    kernel = params["stem"].view(shape.stem_rows, shape.stem_columns, 4, -1).permute(3, 2, 0, 1)
    x = x + F.conv2d(planes.permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1)
    return x + params["row"][:, None] + params["column"]


def attention(x, block, shape):  # [B, R, C, D] -> [B, R, C, D]
    a = layer_norm(x, block["norm1"], shape.epsilon)
    q, k, v = query_key_value(a, block, shape, shape.rotary)  # [B, R, C, h, e]
    by_row = [t.transpose(2, 3) for t in (q, k, v)]  # [B, R, h, C, e]
    row_scores = (by_row[0] @ by_row[1].transpose(-1, -2)).float()  # [B, R, h, C, C]
    values = (row_scores.softmax(-1).to(x.dtype) @ by_row[2]).transpose(2, 3)
    keys = summary_keys(values, a, block, shape, shape.rotary)
    by_column = [t.permute(0, 2, 3, 1, 4) for t in (q, keys, values)]  # [B, C, h, R, e]
    column_scores = (by_column[0] @ by_column[1].transpose(-1, -2)).float()  # [B, C, h, R, R]

    # One softmax over the row so far and the summaries above.
    later = torch.ones(shape.columns, shape.columns, dtype=torch.bool).triu(1)
    not_above = torch.ones(shape.rows, shape.rows, dtype=torch.bool).triu()
    row_scores = row_scores.masked_fill(later, -torch.inf)
    column_scores = column_scores.masked_fill(not_above, -torch.inf)
    with torch.no_grad():  # the softmax does not depend on what is subtracted
        most = torch.maximum(row_scores.amax(-1), column_scores.amax(-1).transpose(1, 3))
    of_row = (row_scores - most[..., None]).exp()
    of_column = (column_scores - most.transpose(1, 3)[..., None]).exp()
    total = of_row.sum(-1) + of_column.sum(-1).transpose(1, 3)  # [B, R, h, C]
    out = of_row.to(x.dtype) @ by_row[2]
    out = out + (of_column.to(x.dtype) @ by_column[2]).transpose(1, 3)
    out = (out / total[..., None].to(x.dtype)).transpose(2, 3)
    return x + out.flatten(-2) @ block["output"]


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
            h = h + params["embed"][c - 1][images[..., c - 1]]
        log_p = channel_log_p(h, c, params)
        losses.append(-log_p.gather(-1, images[..., c, None])[..., 0])
    return torch.stack(losses, -1)


# ---- Pixel by pixel -----------------------------------------------------------------------------


def draw_pixel(h, uniforms, given, params):
    """A pixel [B, 3] and its nats [B, 3]: the given pixel, or one drawn with uniforms [B, 3]."""
    values, losses = [], []
    for c in range(3):
        if c > 0:
            h = h + params["embed"][c - 1][values[-1]]
        log_p = channel_log_p(h, c, params)
        if given is None:
            cumulative = log_p.exp().cumsum(-1)
            drawn = (cumulative < uniforms[:, c, None] * cumulative[:, -1:]).sum(-1)
            values.append(drawn.clamp(max=255))
        else:
            values.append(given[:, c])
        losses.append(-log_p.gather(-1, values[-1][:, None])[:, 0])
    return torch.stack(values, -1), torch.stack(losses, -1)


def redraw_pixel(images, p, uniforms, params, shape):
    """Draws pixel p again, in place, from a forward pass over whole images, without caches."""
    h = trunk(images, params, shape).flatten(1, 2)[:, p]
    images.view(len(images), -1, 3)[:, p] = draw_pixel(h, uniforms, None, params)[0]


class Cache:
    """The state of decoding: the pixels, and for each layer its row so far and its summaries."""

    def __init__(self, batch, params, shape):
        dim, dtype = params["row"].shape[1], params["row"].dtype
        layers, e = len(params["blocks"]), dim // shape.heads
        # Pixels count as outside until they are drawn; masked taps see nothing of later ones.
        self.flat = torch.full((batch, (shape.rows + 1) * shape.columns, 3), OUTSIDE)
        inside = torch.zeros(batch, shape.rows, shape.columns, 4, dtype=dtype)
        inside[..., 3] = 1
        self.planes = pad_planes(inside, shape)
        tile = (layers, batch, shape.heads, shape.columns, e)
        self.queries, self.keys, self.values = (torch.zeros(tile, dtype=dtype) for _ in range(3))
        self.inputs = torch.zeros(layers, batch, shape.columns, dim, dtype=dtype)
        column = (layers, shape.columns, batch, shape.heads, shape.rows, e)
        self.summary_keys = torch.zeros(column, dtype=dtype)
        self.summary_values = torch.zeros(column, dtype=dtype)


def decode_layer(x, c, column_mask, rotary, row, summaries, block, shape):
    """[B, D] -> [B, D] at column c, a tensor. Fills in column c of the row's cache.

    `row` holds queries, keys and values [B, h, C, e] and inputs [B, C, D]; `summaries` holds keys
    and values [C, B, h, R, e]; column_mask [C + R] is 0 where a key may be attended to, else -inf.
    """
    queries, keys, values, inputs = row
    a = layer_norm(x, block["norm1"], shape.epsilon)
    q, k, v = query_key_value(a, block, shape, rotary)  # [B, h, e]
    for cache, now in ((queries, q), (keys, k), (values, v)):
        cache.index_copy_(2, c, now[:, :, None])
    inputs.index_copy_(1, c, a[:, None])
    s_keys, s_values = (s.index_select(0, c)[0] for s in summaries)
    q = q[:, :, None]
    scores = torch.cat([q @ keys.transpose(-1, -2), q @ s_keys.transpose(-1, -2)], -1)
    p = (scores.float() + column_mask).softmax(-1).to(x.dtype)
    out = p[..., : shape.columns] @ values + p[..., shape.columns :] @ s_values
    return mlp(x + out.flatten(1) @ block["output"], block, shape)


def decode_pixel(previous, above, window, position, c, column_mask, rotary, uniforms, given, rows,
                 summaries, params, shape):
    """Applies decode_layer for all layers and then draw_pixel; `position` is [D]."""
    x = params["tables"][table_rows(previous, above)].sum(-2)
    x = x + window.flatten(1) @ params["stem"] + position
    for block, row, summary in zip(params["blocks"], rows, summaries):
        x = decode_layer(x, c, column_mask, rotary, row, summary, block, shape)
    return draw_pixel(layer_norm(x, params["norm"], shape.epsilon), uniforms, given, params)


def end_row(r, cache, params, shape):
    """Makes the summaries of row r."""
    rotary = shape.rotary and [table[r] for table in shape.rotary]
    for n, block in enumerate(params["blocks"]):
        scores = (cache.queries[n] @ cache.keys[n].transpose(-1, -2)).float()
        p = scores.softmax(-1).to(cache.keys.dtype)
        values = (p @ cache.values[n]).transpose(1, 2)  # [B, C, h, e]
        keys = summary_keys(values, cache.inputs[n], block, shape, rotary)
        cache.summary_keys[n, :, :, :, r] = keys.transpose(0, 1)
        cache.summary_values[n, :, :, :, r] = values.transpose(0, 1)


def decode(uniforms, given, num_rows, params, shape, step=decode_pixel):
    """(images [B, R, C, 3], nats): the first rows of images, drawn or, unless None, as given.

    uniforms and given are [R, C, B, 3]; `step` is decode_pixel or its compiled version.
    """
    rows, columns, batch, _ = uniforms.shape
    cache = Cache(batch, params, shape)
    losses = torch.zeros(rows, columns, batch, 3)
    layers = range(len(params["blocks"]))
    row_caches = [(cache.queries[n], cache.keys[n], cache.values[n], cache.inputs[n])
                  for n in layers]
    summaries = [(cache.summary_keys[n], cache.summary_values[n]) for n in layers]
    side = shape.stem_columns // 2
    for r in range(num_rows):
        for c in range(columns):
            p = r * columns + c
            mask = torch.full((columns + rows,), -torch.inf)
            mask[: c + 1] = 0.0
            mask[columns : columns + r] = 0.0
            rotary = shape.rotary and [table[r, c].clone() for table in shape.rotary]
            window = cache.planes[:, r : r + shape.stem_rows, c : c + shape.stem_columns]
            value, loss = step(
                cache.flat[:, p + columns - 1].clone(), cache.flat[:, p].clone(), window.clone(),
                params["row"][r] + params["column"][c], torch.tensor([c]), mask, rotary,
                uniforms[r, c].clone(), None if given is None else given[r, c].clone(),
                row_caches, summaries, params, shape)
            cache.flat[:, p + columns] = value
            drawn = scale_pixels(value).to(cache.planes.dtype)
            cache.planes[:, r + shape.stem_rows - 1, c + side] = drawn
            losses[r, c] = loss
        end_row(r, cache, params, shape)
    return cache.flat[:, columns:].view(batch, rows, columns, 3), losses.permute(2, 0, 1, 3)

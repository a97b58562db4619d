"""Combiner attention in NumPy: every variant is a list of parts that share one softmax.

CAUSAL and BIDIRECTIONAL hold the variants by name: functions from an AttentionInput to its parts.
A position attends to some keys directly and to others through abstractions; an abstraction is one
key and one value for a set of positions.

Shapes in comments: L = rows x columns positions in raster order, D features, h heads of e = D / h
features. A relation is a boolean matrix [L, L]. Its row is a position i, and its column is a
position j that i may attend to or that belongs to the set named by i.
"""

from typing import NamedTuple

import numpy as np

from reference_layers import dense, layer_norm, log_softmax


class AttentionInput(NamedTuple):
    q: np.ndarray  # [h, L, e], scaled by 1 / sqrt(e) and rotated
    k: np.ndarray  # [h, L, e], rotated
    v: np.ndarray  # [h, L, e]
    row: np.ndarray  # [L], the row of each position
    column: np.ndarray  # [L]
    # Only axial_rowmajor's summaries need these:
    a: np.ndarray = None  # [L, D], the input that q, k and v are computed from
    w: dict = None  # summary_output, summary_norm, summary_key
    epsilon: float = None  # the epsilon of summary_norm
    angles: np.ndarray = None  # [L, e / 2], the angles by which rotary positions rotate keys

    @property
    def same_row(self):  # j is in the row of i
        return self.row[None, :] == self.row[:, None]

    @property
    def same_column(self):
        return self.column[None, :] == self.column[:, None]

    @property
    def above(self):  # j is in a row above the row of i
        return self.row[None, :] < self.row[:, None]

    @property
    def below(self):
        return self.above.T

    @property
    def left(self):  # j is in a column to the left of the column of i
        return self.column[None, :] < self.column[:, None]

    @property
    def right(self):
        return self.left.T


class Part(NamedTuple):
    keys: np.ndarray  # [h, K, e]
    values: np.ndarray  # [h, K, e]
    support: np.ndarray  # [L, K], whether a position may attend to a key


def attend(queries, parts):
    """[h, L, e]: for each query the weighted mean of the values it supports, over all parts."""
    support = np.concatenate([part.support for part in parts], axis=1)
    keys = np.concatenate([part.keys for part in parts], axis=1)
    values = np.concatenate([part.values for part in parts], axis=1)
    heads = []
    for q, k, v in zip(queries, keys, values):
        scores = np.where(support, q @ k.T, -np.inf)
        heads.append(np.exp(log_softmax(scores)) @ v)
    return np.stack(heads)


def split_heads(x, num_heads):  # [L, D] -> [h, L, e]
    return x.reshape(len(x), num_heads, -1).transpose(1, 0, 2)


def join_heads(x):  # [h, L, e] -> [L, D]
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def rotary_angles(row, column, head_dim, base):
    """[L, e / 2]: the angles by which positions rotate the pairs of a head. The row determines the
    angles of the first half of the pairs, the column those of the second."""
    frequencies = float(base) ** (-4.0 * np.arange(head_dim // 4) / head_dim)
    return np.concatenate([np.multiply.outer(row, frequencies),
                           np.multiply.outer(column, frequencies)], axis=1)


def turn(x, angles):
    """[..., L, e]: rotates the pair of numbers i and i + e / 2 by the position's i-th angle."""
    if angles is None:
        return x
    a, b = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def attention(query, key, value, parts_of, columns, num_heads, a=None, w=None, epsilon=None,
              angles=None):
    """[L, D]: attention of `query`, not yet scaled, over a grid with this many columns.

    `parts_of` is a variant in CAUSAL or BIDIRECTIONAL. With `angles`, by which queries and keys are
    rotated, it must be a causal variant in ROTARY. For the other arguments see AttentionInput.
    """
    length, dim = query.shape
    x = AttentionInput(
        q=turn(split_heads(query, num_heads) / np.sqrt(dim / num_heads), angles),
        k=turn(split_heads(key, num_heads), angles),
        v=split_heads(value, num_heads),
        row=np.arange(length) // columns,
        column=np.arange(length) % columns,
        a=a,
        w=w,
        epsilon=epsilon,
        angles=angles,
    )
    return join_heads(attend(x.q, parts_of(x)))


# ---- Parts --------------------------------------------------------------------------------------


def direct(x, support):
    """The positions themselves."""
    return Part(x.k, x.v, support)


def abstractions(x, sets, support):
    """One key and one value for each set of positions: `sets` [S, L], `support` [L, S].

    The key and the query of a set are the elementwise maxima of its positions' keys and queries.
    Its value is what that query gets from attention over the positions. Empty sets are left out.
    """
    some = sets.any(axis=1)
    sets, support = sets[some], support[:, some]
    keys, queries = np.empty((2, len(x.k), len(sets), x.k.shape[2]))
    for n, members in enumerate(sets):
        keys[:, n] = x.k[:, members].max(axis=1)
        queries[:, n] = x.q[:, members].max(axis=1)
    return Part(keys, attend(queries, [direct(x, sets)]), support)


def summaries(x, support):
    """For each position a key and a value that summarise its whole row, as in axial_rowmajor."""
    values = attend(x.q, [direct(x, x.same_row)])
    hidden = dense(join_heads(values), x.w, "summary_output") + x.a
    hidden = layer_norm(hidden, x.w, "summary_norm", x.epsilon)
    keys = split_heads(dense(hidden, x.w, "summary_key"), len(x.k))
    return Part(turn(keys, x.angles), values, support)


def dyadic_spans(length):
    """For each bit l: the aligned spans of 2^l positions [S, L], and who supports them [L, S].

    Position i has one span for each of its set bits: the span that ends where the lower bits of i
    are zero. Together these spans are all positions before i.
    """
    i = np.arange(length)
    for level in range(length.bit_length()):
        span = np.arange(length >> level)
        inside = i[None, :] >> level == span[:, None]
        support = (i[:, None] >> level == span[None, :] + 1) & (i[:, None] >> level & 1 == 1)
        yield inside, support


# ---- Causal variants: each position attends to those up to itself --------------------------------


def full(x):
    """Ordinary causal attention."""
    i = np.arange(len(x.row))
    return [direct(x, i[None, :] <= i[:, None])]


def row_so_far(x):
    return direct(x, x.same_row & ~x.right)


def axial(x):
    """My row up to me, and my column above me."""
    return [row_so_far(x), direct(x, x.same_column & x.above)]


def axial_rowmajor(x):
    """My row up to me, and for each row above its summary at my column."""
    return [row_so_far(x), summaries(x, x.same_column & x.above)]


def vertical(x):
    """Every other column above me."""
    return [abstractions(x, x.same_column & x.above, x.same_row & ~x.same_column)]


def horizontal(x):
    """In each row above me, the part to the left of my column and the part to the right."""
    support = x.same_column & x.above
    return [abstractions(x, x.same_row & x.left, support),
            abstractions(x, x.same_row & x.right, support)]


def axial_vertical(x):
    return axial(x) + vertical(x)


def axial_horizontal(x):
    return axial(x) + horizontal(x)


def axial_mixture(x):
    return axial(x) + vertical(x) + horizontal(x)


def fixed(x):
    """My row up to me, and each row above as a whole."""
    first = x.column == 0
    return [row_so_far(x), abstractions(x, x.same_row[first], x.above[:, first])]


def fixed_sparse(x):
    """My row up to me, and the last position of each row above."""
    last = x.column == x.column.max()
    return [row_so_far(x), direct(x, x.above & last)]


def myself(x):
    return direct(x, np.eye(len(x.row), dtype=bool))


def logsparse(x):
    """Myself, and spans of powers of two before me."""
    return [myself(x)] + [abstractions(x, *level) for level in dyadic_spans(len(x.row))]


def logsparse_sparse(x):
    """Myself, and the last position of each of these spans."""
    parts = [myself(x)]
    for inside, support in dyadic_spans(len(x.row)):
        last = inside.cumsum(axis=1).argmax(axis=1)
        parts.append(Part(x.k[:, last], x.v[:, last], support))
    return parts


CAUSAL = {f.__name__: f for f in (axial_rowmajor, axial_vertical, axial_horizontal, axial_mixture,
                                  fixed, logsparse, full, axial, fixed_sparse, logsparse_sparse)}
SPARSE_BASELINES = {"axial", "fixed_sparse", "logsparse_sparse"}  # these do not see every position
# In these variants every key has a position to rotate it by. A maximum of keys has none.
ROTARY = {"axial_rowmajor", "full", *SPARSE_BASELINES}


# ---- Bidirectional: none is attended to both directly and in an abstraction ----------------------


def bidirectional_axial_rowmajor(x):
    """My row, and for each other row its summary at my column."""
    return [direct(x, x.same_row), summaries(x, x.same_column & ~x.same_row)]


def bidirectional_full(x):
    """Everything."""
    return [direct(x, x.same_row | ~x.same_row)]


def bidirectional_axial(x):
    """My row and my column."""
    return [direct(x, x.same_row | x.same_column)]


def above_and_below(x):
    """Of every other column the parts above and below me."""
    other_columns = x.same_row & ~x.same_column
    return [abstractions(x, x.same_column & x.above, other_columns),
            abstractions(x, x.same_column & x.below, other_columns)]


def left_and_right(x):
    """Of every other row the parts to the left and to the right of my column."""
    other_rows = x.same_column & ~x.same_row
    return [abstractions(x, x.same_row & x.left, other_rows),
            abstractions(x, x.same_row & x.right, other_rows)]


def bidirectional_axial_vertical(x):
    return bidirectional_axial(x) + above_and_below(x)


def bidirectional_axial_horizontal(x):
    return bidirectional_axial(x) + left_and_right(x)


def bidirectional_axial_mixture(x):
    return bidirectional_axial(x) + above_and_below(x) + left_and_right(x)


def bidirectional_fixed(x):
    """My row, and each other row as a whole."""
    first = x.column == 0
    return [direct(x, x.same_row), abstractions(x, x.same_row[first], ~x.same_row[:, first])]


def bidirectional_fixed_sparse(x):
    """My row, and the last position of each other row."""
    return [direct(x, x.same_row | (x.column == x.column.max()))]


BIDIRECTIONAL = {f.__name__.removeprefix("bidirectional_"): f for f in (
    bidirectional_axial_rowmajor, bidirectional_axial_mixture, bidirectional_fixed,
    bidirectional_full, bidirectional_axial, bidirectional_axial_vertical,
    bidirectional_axial_horizontal, bidirectional_fixed_sparse)}

"""Combiner attention as plain operations of PyTorch, every variant.

A variant is a list of parts. Each part attends to some of the keys, and all parts share one
softmax; docs/design.md explains them. Shapes in comments: B grids of R x C positions, L = R C, h
heads of e features. A tensor "on the grid" is [B, R, C, h, e], or [B, R, C, h] without features.
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The logit of what is not attended to. It is finite, so that a query which attends to nothing in
# some part gets something finite there, which then has no weight.
_NEVER = -1e30

Summarise = Callable[[Tensor], Tensor]


class _Part(NamedTuple):
    out: Tensor  # on the grid: the mean of the part's values
    weight: Tensor  # on the grid, no features: the logarithm of the sum of its exponentials


def _wide(x: Tensor) -> Tensor:
    """At least float32, in which softmax is computed."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
    """[..., Q, e] and the logarithm of the sum of exponentials [..., Q]; mask [Q, K] or None."""
    scores = _wide(q @ k.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, _NEVER)
    weight = scores.logsumexp(-1)
    return (scores - weight[..., None]).exp().to(v.dtype) @ v, weight


def _merge(parts: List[_Part]) -> Tensor:
    """The mean of all values, on the grid."""
    if len(parts) == 1:
        return parts[0].out
    total = torch.stack([part.weight for part in parts]).logsumexp(0)
    return sum(part.out * (part.weight - total).exp()[..., None].to(part.out.dtype)
               for part in parts)


# ---- Masks [n, n], row: query, column: key ------------------------------------------------------


def _ones(n: int, like: Tensor) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool, device=like.device)


def _up_to(n: int, like: Tensor) -> Tensor:
    return _ones(n, like).tril()


def _before(n: int, like: Tensor) -> Tensor:
    return _ones(n, like).tril(-1)


def _others(n: int, like: Tensor) -> Tensor:
    return ~torch.eye(n, dtype=torch.bool, device=like.device)


# ---- Parts --------------------------------------------------------------------------------------
# Arguments are on the grid.


def _rows(q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> _Part:
    """Keys of the own row; mask [C, C]."""
    out, weight = _attend(*(x.transpose(2, 3) for x in (q, k, v)), mask)
    return _Part(out.transpose(2, 3), weight.transpose(2, 3))


def _columns(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> _Part:
    """Keys of the own column; mask [R, R]."""
    out, weight = _attend(*(x.permute(0, 2, 3, 1, 4) for x in (q, k, v)), mask)
    return _Part(out.permute(0, 3, 1, 2, 4), weight.permute(0, 3, 1, 2))


def _whole_rows(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """Of each row above, one key and value [B, R, h, e]."""
    _, rows, columns, _, _ = q.shape
    out, weight = _attend(q.flatten(1, 2).transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                          _before(rows, q).repeat_interleave(columns, 0))
    return _Part(out.transpose(1, 2).unflatten(1, (rows, columns)),
                 weight.transpose(1, 2).unflatten(1, (rows, columns)))


def _summaries(q: Tensor, k: Tensor, v: Tensor, summarise: Summarise, mask: Tensor) -> _Part:
    """Of each row its summary at the own column; mask [R, R]."""
    values = _rows(q, k, v, None).out
    return _columns(q, summarise(values), values, mask)


def _maxima_before(x: Tensor, dim: int) -> Tensor:
    """The maxima over what is before each place along `dim`; zeros at the first."""
    most = x.cummax(dim).values.narrow(dim, 0, x.shape[dim] - 1)
    return torch.cat([torch.zeros_like(x.narrow(dim, 0, 1)), most], dim)


def _first_has_none(part: _Part, dim: int) -> _Part:
    """Without the part at the first place along `dim`, whose set is empty."""
    first = torch.full_like(part.weight.narrow(dim, 0, 1), _NEVER)
    rest = part.weight.narrow(dim, 1, part.weight.shape[dim] - 1)
    return part._replace(weight=torch.cat([first, rest], dim))


def _turned_round(part: _Part, dims: Tuple[int, ...]) -> _Part:
    return _Part(part.out.flip(dims), part.weight.flip(dims))


def _column_above(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """My column above me."""
    return _columns(q, k, v, _before(q.shape[1], q))


def _columns_above(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """Every other column's positions above me, as one abstraction each."""
    queries = _maxima_before(q, 1)
    values = _columns(queries, k, v, _before(q.shape[1], q)).out
    part = _rows(q, _maxima_before(k, 1), values, _others(q.shape[2], q))
    return _first_has_none(part, 1)


def _left_parts(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """In each row above what is to the left of my column, as one abstraction."""
    queries = _maxima_before(q, 2)
    values = _rows(queries, k, v, _before(q.shape[2], q)).out
    part = _columns(q, _maxima_before(k, 2), values, _before(q.shape[1], q))
    return _first_has_none(part, 2)


def _right_parts(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    return _turned_round(_left_parts(*(x.flip(2) for x in (q, k, v))), (2,))


def _abstract_rows(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """Each row above, as one abstraction."""
    values, _ = _attend(q.amax(2)[:, :, :, None], k.transpose(2, 3), v.transpose(2, 3), None)
    return _whole_rows(q, k.amax(2), values[:, :, :, 0])


def _last_of_rows(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """The last position of each row above."""
    return _whole_rows(q, k[:, :, -1], v[:, :, -1])


def _first_of_rows(q: Tensor, k: Tensor, v: Tensor) -> _Part:
    """The first position of each row above."""
    return _whole_rows(q, k[:, :, 0], v[:, :, 0])


# ---- Variants with spans: L positions in raster order -------------------------------------------


def _span_attention(q: Tensor, k: Tensor, v: Tensor, abstract: bool) -> Tensor:
    """Myself, and the spans of powers of two before me: for each bit l that is set in my number,
    the aligned span of 2^l positions that ends where my lower bits are zero. Of each span an
    abstraction, or its last position."""
    rows, columns = q.shape[1:3]
    q, k, v = (x.flatten(1, 2).transpose(1, 2) for x in (q, k, v))  # [B, h, L, e]
    length = rows * columns
    place = torch.arange(length, device=q.device)
    keys, values, some = [k], [v], [torch.ones_like(place, dtype=torch.bool)]
    for level in range(length.bit_length()):
        number = place >> level
        some.append(number % 2 == 1)
        if abstract:
            spans = length >> level
            q_of, k_of, v_of = (x[:, :, : spans << level].unflatten(2, (spans, 1 << level))
                                for x in (q, k, v))
            span_values, _ = _attend(q_of.amax(3)[..., None, :], k_of, v_of, None)
            index = (number - 1).clamp(min=0)
            keys.append(k_of.amax(3)[:, :, index])
            values.append(span_values[..., 0, :][:, :, index])
        else:
            index = ((number << level) - 1).clamp(min=0)
            keys.append(k[:, :, index])
            values.append(v[:, :, index])
    scores = torch.stack([_wide((q * key).sum(-1)) for key in keys], -1)  # [B, h, L, K]
    p = scores.masked_fill(~torch.stack(some, -1), _NEVER).softmax(-1).to(v.dtype)
    out = sum(p[..., n, None] * value for n, value in enumerate(values))
    return out.transpose(1, 2).unflatten(1, (rows, columns))


def _full(q: Tensor, k: Tensor, v: Tensor, bidirectional: bool) -> Tensor:
    rows, columns = q.shape[1:3]
    q, k, v = (x.flatten(1, 2).transpose(1, 2) for x in (q, k, v))
    out, _ = _attend(q, k, v, None if bidirectional else _up_to(rows * columns, q))
    return out.transpose(1, 2).unflatten(1, (rows, columns))


# ---- Variants -----------------------------------------------------------------------------------


# What is seen of the rows above.
_ABOVE = {
    "axial_rowmajor": (),  # its summaries, which need weights
    "axial_vertical": (_column_above, _columns_above),
    "axial_horizontal": (_column_above, _left_parts, _right_parts),
    "axial_mixture": (_column_above, _columns_above, _left_parts, _right_parts),
    "fixed": (_abstract_rows,),
    "axial": (_column_above,),
    "fixed_sparse": (_last_of_rows,),
}
# The same of the rows below, as parts of the grid turned round, where the last position is the
# first.
_BELOW = {**_ABOVE, "fixed_sparse": (_first_of_rows,)}


VARIANTS = ("axial_rowmajor", "axial_vertical", "axial_horizontal", "axial_mixture", "fixed",
            "logsparse", "full", "axial", "fixed_sparse", "logsparse_sparse")
BIDIRECTIONAL = tuple(name for name in VARIANTS if name not in ("logsparse", "logsparse_sparse"))
# In these, every key has a position to rotate it by. A maximum of keys has none.
ROTARY = ("axial_rowmajor", "full", "axial", "fixed_sparse", "logsparse_sparse")


def attend(variant: str, query: Tensor, key: Tensor, value: Tensor, *, bidirectional: bool = False,
           summarise: Optional[Summarise] = None) -> Tensor:
    """Each position's softmax-weighted mean of the values that it attends to, on the grid.

    query, key, value: [B, R, C, h, e]; a logit is query . key, so scale the queries first.
    summarise: for axial_rowmajor, the keys [B, R, C, h, e] of summaries with these values.
    """
    _check(variant, bidirectional)
    q, k, v = query, key, value
    if variant == "full":
        return _full(q, k, v, bidirectional)
    if variant in ("logsparse", "logsparse_sparse"):
        return _span_attention(q, k, v, variant == "logsparse")
    rows, columns = q.shape[1:3]
    parts = [_rows(q, k, v, None if bidirectional else _up_to(columns, q))]
    parts += [make(q, k, v) for make in _ABOVE[variant]]
    if bidirectional:
        turned = [x.flip(1, 2) for x in (q, k, v)]
        parts += [_turned_round(make(*turned), (1, 2)) for make in _BELOW[variant]]
    if variant == "axial_rowmajor":
        mask = _others(rows, q) if bidirectional else _before(rows, q)
        parts.append(_summaries(q, k, v, summarise, mask))
    return _merge(parts)


def _check(variant: str, bidirectional: bool) -> None:
    known = BIDIRECTIONAL if bidirectional else VARIANTS
    if variant not in known:
        which = "bidirectional attention" if bidirectional else "attention"
        raise ValueError(f"{which} {variant!r} is unknown; expected one of {', '.join(known)}")


# ---- The layer ----------------------------------------------------------------------------------


class CombinerAttention(nn.Module):
    """Multi-head attention over a grid, [B, R, C, dim] to the same: the projections to queries,
    keys and values, attention, and the projection of the output.

    variant: one of VARIANTS or, if bidirectional, of BIDIRECTIONAL.
    rotary_base: the base of rotary positions, for the variants in ROTARY; None for none.
    norm_epsilon: of the normalisation of axial_rowmajor's summaries.

    Causal attention lets a position see itself and those before it in raster order.
    """

    def __init__(self, variant: str, dim: int, heads: int, *, bidirectional: bool = False,
                 rotary_base: Optional[float] = None, norm_epsilon: float = 1e-6):
        super().__init__()
        _check(variant, bidirectional)
        if dim % heads:
            raise ValueError(f"dim is {dim}; expected a multiple of the {heads} heads")
        if rotary_base is not None and variant not in ROTARY:
            raise ValueError(f"attention {variant!r} can't have rotary positions; those that can "
                             f"are {', '.join(ROTARY)}")
        if rotary_base is not None and dim // heads % 4:
            raise ValueError(f"heads have {dim // heads} features; rotary positions need a "
                             "multiple of 4")
        self.variant, self.heads, self.bidirectional = variant, heads, bidirectional
        self.rotary_base = rotary_base

        def dense() -> nn.Linear:
            return nn.Linear(dim, dim, bias=False)

        self.query, self.key, self.value, self.output = dense(), dense(), dense(), dense()
        if variant == "axial_rowmajor":
            self.summary_output, self.summary_key = dense(), dense()
            self.summary_norm = nn.LayerNorm(dim, norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        rotary = self._rotary(x)
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        q, k, v = (self._split(y) for y in F.linear(x, weight).chunk(3, -1))
        q = _turn(q * q.shape[-1] ** -0.5, rotary)
        k = _turn(k, rotary)

        def summarise(values: Tensor) -> Tensor:
            hidden = self.summary_norm(self.summary_output(values.flatten(-2)) + x)
            return _turn(self._split(self.summary_key(hidden)), rotary)

        out = attend(self.variant, q, k, v, bidirectional=self.bidirectional, summarise=summarise)
        return self.output(out.flatten(-2))

    def _split(self, x: Tensor) -> Tensor:  # [..., D] -> [..., h, e]
        return x.unflatten(-1, (self.heads, -1))

    def _rotary(self, x: Tensor) -> Optional[Tuple[Tensor, Tensor]]:
        """Cosines and sines [R, C, 1, e / 2] of the angles by which pairs of features are turned:
        the first half of the pairs by the row, the others by the column."""
        if self.rotary_base is None:
            return None
        head_dim = x.shape[-1] // self.heads
        dtype = torch.promote_types(x.dtype, torch.float32)
        exponents = torch.arange(head_dim // 4, device=x.device, dtype=dtype) * (-4.0 / head_dim)
        rates = self.rotary_base**exponents
        row, column = (torch.arange(n, device=x.device, dtype=dtype)[:, None] * rates
                       for n in x.shape[1:3])
        shape = (*x.shape[1:3], head_dim // 4)
        angles = torch.cat([row[:, None].expand(shape), column.expand(shape)], -1)[:, :, None]
        return angles.cos(), angles.sin()


def _turn(x: Tensor, rotary: Optional[Tuple[Tensor, Tensor]]) -> Tensor:
    """Turns the pairs of features i and i + e / 2 of [..., h, e]."""
    if rotary is None:
        return x
    cos, sin = rotary
    a, b = _wide(x).chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)

"""The attention layer on its own, for anything that is laid out on a grid."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import numpy as np

from . import _check, _combiner

ATTENTION_VARIANTS = _combiner.attention_variants

_SUMMARY = ("summary_output.weight", "summary_key.weight", "summary_norm.weight",
            "summary_norm.bias")


def attention(variant: str, rows: int, columns: int, dim: int, heads: int, *,
              bidirectional: bool = False, summary: Optional[Mapping[str, Any]] = None,
              norm_epsilon: float = 1e-6) -> "Attention":
    """Makes an attention layer over a grid of rows x columns positions in raster order.

    variant: one of ATTENTION_VARIANTS; docs/attention.md says what each attends to.
    dim: features of a position, D, divided among `heads`.
    bidirectional: whether a position attends to what is after it, too; all variants can but the two
        with spans.
    summary: the weights of axial_rowmajor's summaries, float32: "summary_output.weight" and
        "summary_key.weight" [D, D], stored [out, in], "summary_norm.weight" and "summary_norm.bias"
        [D].
    norm_epsilon: of the summaries' normalisation.

    Raises combiner.Error if the sizes make no sense, or if the variant lacks weights, has no use
    for them or can't be bidirectional.
    """
    return Attention(variant, rows, columns, dim, heads, bidirectional, summary, norm_epsilon)


class Attention:
    """An attention layer; made by attention(). It computes on one thread, and must not be used by
    two at once."""

    def __init__(self, variant: str, rows: int, columns: int, dim: int, heads: int,
                 bidirectional: bool, summary: Optional[Mapping[str, Any]], norm_epsilon: float):
        if variant not in ATTENTION_VARIANTS:
            raise ValueError(
                f"variant is {variant!r}; expected one of {', '.join(ATTENTION_VARIANTS)}")
        rows, columns = _check.option(rows, "rows", 1), _check.option(columns, "columns", 1)
        dim, heads = _check.option(dim, "dim", 1), _check.option(heads, "heads", 1)
        self._shape = (rows * columns, dim)
        self._layer = _combiner.Attention(variant, rows, columns, dim, heads, bidirectional,
                                          _check.number(norm_epsilon, "norm_epsilon"),
                                          _summary(summary, dim))

    def __call__(self, query: Any, key: Any, value: Any, input: Any = None) -> np.ndarray:
        """Each position's softmax-weighted mean of the values that it attends to: float32 [L, D],
        L = rows x columns.

        query, key, value: float32 [L, D], the heads side by side. A logit is query . key /
            sqrt(D / heads).
        input: float32 [L, D], for axial_rowmajor only: what query, key and value were projected
            from.
        """
        def check(array: Any, what: str) -> np.ndarray:
            return _check.array(array, what, np.float32, self._shape, str(list(self._shape)))

        return self._layer.forward(check(query, "query"), check(key, "key"), check(value, "value"),
                                   None if input is None else check(input, "input"))


def _summary(weights: Optional[Mapping[str, Any]], dim: int) -> Optional[list]:
    if weights is None:
        return None
    if set(weights) != set(_SUMMARY):
        raise ValueError(f"summary has {', '.join(map(str, weights)) or 'nothing'}; expected "
                         f"{', '.join(_SUMMARY)}")
    shapes = ((dim, dim), (dim, dim), (dim,), (dim,))
    # Copies, because the layer reads them whenever it computes.
    return [_check.array(weights[name], name, np.float32, shape, str(list(shape))).copy()
            for name, shape in zip(_SUMMARY, shapes)]

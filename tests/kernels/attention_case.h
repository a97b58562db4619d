// Random attention tiles with a mask.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "catch.h"
#include "kernels/attend.h"
#include "padded_matrix.h"

namespace combiner {

template <class T>
struct AttentionCase {
  PaddedMatrix<T> query, key, value;
  Visible visible;

  AttentionCase(int64_t queries, int64_t keys, int64_t head_dim, Visible visible_, Random& random)
      : query(queries, head_dim, random),
        key(keys, head_dim, random),
        value(keys, head_dim, random),
        visible(visible_) {}

  int64_t queries() const { return query.view().rows; }
  int64_t keys() const { return key.view().rows; }
  int64_t head_dim() const { return key.view().columns; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim())); }

  AttentionTile<T> tile() const {
    return {query.view().data,
            query.view().stride,
            queries(),
            key.view().data,
            key.view().stride,
            value.view().data,
            value.view().stride,
            keys(),
            1,
            head_dim(),
            scale(),
            visible};
  }

  // The number of keys that query i attends to.
  int64_t visible_keys(int64_t i) const {
    if (visible.first > keys()) return keys();  // `all` is too large to add to
    return std::clamp<int64_t>(visible.first + visible.step * i, 0, keys());
  }
  // A logit, and the sum of the magnitudes of its products.
  double logit(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t d = 0; d < head_dim(); ++d) sum += query(i, d) * key(j, d);
    return sum * scale();
  }
  double logit_magnitude(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t d = 0; d < head_dim(); ++d) sum += std::abs(query(i, d) * key(j, d));
    return sum * scale();
  }
};

// Odd sizes, and sizes around a vector's width and a block of queries (16).
inline constexpr int64_t kQueryCounts[] = {1, 3, 16, 17, 33};
inline constexpr int64_t kKeyCounts[] = {1, 3, 8, 17, 33};
inline constexpr int64_t kHeadDims[] = {1, 3, 8, 17, 32, 40};
// Masks of every kind, with offsets before, among and beyond the keys.
inline const Visible kVisible[] = {Visible::all(),      Visible::causal(),    Visible::causal(5),
                                   Visible::causal(-4), Visible::causal(100), Visible::strict(),
                                   Visible::strict(3),  Visible::strict(-20)};

template <class T, class Test>
void for_each_attention_case(const Test& test) {
  Random random(1);
  for (const int64_t queries : kQueryCounts)
    for (const int64_t keys : kKeyCounts)
      for (const int64_t head_dim : kHeadDims)
        for (const Visible& visible : kVisible)
          test(AttentionCase<T>(queries, keys, head_dim, visible, random));
}

// Causal tiles with logits so large or small that their exponentials don't fit into a float. First
// queries of the given sizes. Then a last key, which only the last query sees, with far larger
// logits than the others, which have ordinary ones; and one with ordinary logits, where the others
// have far smaller ones.
template <class T, class Test>
void for_each_extreme_causal_case(std::span<const double> sizes, const Test& test) {
  constexpr int64_t kKeys = 17, kHeadDim = 8;
  Random random(10);
  for (const double size : sizes) {
    AttentionCase<T> c(kKeys, kKeys, kHeadDim, Visible::causal(), random);
    c.query = PaddedMatrix<T>(kKeys, kHeadDim, random, size);
    INFO("queries of " << size);
    test(c);
  }
  for (const auto& [others, last] : {std::pair(0.0, 25.0), std::pair(-25.0, 0.0)}) {
    AttentionCase<T> c(kKeys, kKeys, kHeadDim, Visible::causal(), random);
    // This feature adds 16 times the key's, over sqrt(8), to a logit: 141 or -141, or nothing.
    for (int64_t i = 0; i < kKeys; ++i) {
      c.query.at(i, 0) = from_double<T>(16.0);
      c.key.at(i, 0) = from_double<T>(i + 1 < kKeys ? others : last);
    }
    INFO("keys of " << others << ", the last of " << last);
    test(c);
  }
}

// The buffers of attend's output: out, rounded and lse, with gaps between their rows.
template <class T>
struct AttendResult {
  PaddedMatrix<float> out;
  PaddedMatrix<T> rounded;
  PaddedMatrix<float> lse;

  AttendResult(int64_t queries, int64_t head_dim, int64_t heads = 1)
      : out(queries, heads * head_dim), rounded(queries, heads * head_dim), lse(queries, heads) {}
  AttentionOutput<T> output() {
    return {out.view().data,       out.view().stride, rounded.view().data,
            rounded.view().stride, lse.view().data,   lse.view().stride};
  }
  // Whether `rounded` equals `out` after rounding, and nothing was written between the rows.
  bool consistent() const {
    bool right = out.gaps_kept() && rounded.gaps_kept() && lse.gaps_kept();
    for (int64_t i = 0; i < out.view().rows; ++i)
      for (int64_t d = 0; d < out.view().columns; ++d)
        right = right && rounded(i, d) == to_float(from_double<T>(out(i, d)));
    return right;
  }
};

}  // namespace combiner

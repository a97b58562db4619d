// The shape of an attention layer.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

namespace combiner {

// How axial_rowmajor's summaries are kept from row to row: as they were made; in 8 bits, each key
// and each value as whole numbers and a scale (kernels/int8_rows.h), what memory and time of
// sampling many images depend on most; or rounded to those, but stored as others are, for passes
// over whole rows, whose attention has no 8-bit keys.
enum class KeptSummaries { as_made, in_8_bits, rounded };

// rows x columns positions in raster order, D = dim features in H = heads heads.
struct AttentionShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t dim = 0;
  int64_t heads = 0;
  float norm_epsilon = 1e-6f;  // of axial_rowmajor's summaries
  KeptSummaries summaries = KeptSummaries::as_made;
  std::optional<double> rotary_base = std::nullopt;

  int64_t positions() const { return rows * columns; }
  int64_t head_dim() const { return dim / heads; }
  // What products of queries and keys are multiplied with.
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim())); }
};

}  // namespace combiner

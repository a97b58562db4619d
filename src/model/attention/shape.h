// The shape of an attention layer.
#pragma once

#include <cmath>
#include <cstdint>

namespace combiner {

// rows x columns positions in raster order, D = dim features in H = heads heads.
struct AttentionShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t dim = 0;
  int64_t heads = 0;
  float norm_epsilon = 1e-6f;  // of axial_rowmajor's summaries

  int64_t positions() const { return rows * columns; }
  int64_t head_dim() const { return dim / heads; }
  // What products of queries and keys are multiplied with.
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim())); }
};

}  // namespace combiner

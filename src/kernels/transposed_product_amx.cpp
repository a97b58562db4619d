// Products over positions are those of panels, once both factors are laid out anew: b in panels, a
// transposed to rows.

#include <algorithm>
#include <stdexcept>

#include "base/for_each_band.h"
#include "kernels/amx.h"
#include "kernels/panels_storage.h"
#include "kernels/transposed_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/transposed_product_amx.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/tiles_amx-inl.h"

#if COMBINER_HAS_AMX && HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using amx::kDepth;
using amx::kRows;
using amx::kTile;

// 32 columns from `column` on of 32 rows from `row` on in pairs of rows, zero where the matrix has
// none: two tiles, of the first and of the other 16 columns.
HWY_INLINE void Interleave(const Matrix<const bfloat16>& m, int64_t row, int64_t column,
                           bfloat16* HWY_RESTRICT first, bfloat16* HWY_RESTRICT second) {
  const bfloat16* from = m.row(row) + column;
  const int64_t rows = m.rows - row;
  const int64_t columns = m.columns - column;
  if (rows >= kDepth && columns >= kDepth)
    return amx::InterleaveRowsOf(
        [&](int64_t i) HWY_ATTR {
          // The rows after these: too many streams for the processor to see by itself.
          _mm_prefetch(from + (i + kDepth) * m.stride, _MM_HINT_T0);
          return _mm512_loadu_si512(from + i * m.stride);
        },
        first, second);
  const auto some = static_cast<__mmask32>(columns >= kDepth ? ~0u : (1u << columns) - 1);
  amx::InterleaveRowsOf(
      [&](int64_t i) HWY_ATTR {
        return _mm512_maskz_loadu_epi16(i < rows ? some : 0,
                                        from + std::min(i, rows - 1) * m.stride);
      },
      first, second);
}

// Calls visit(row, column) for blocks of 32 rows and 32 columns, in the order they lie in.
template <class Visit>
HWY_INLINE void ForEachBlock(const Matrix<const bfloat16>& m, const Visit& visit) {
  for (int64_t row = 0; row < m.rows; row += kDepth)
    for (int64_t column = 0; column < m.columns; column += kDepth) visit(row, column);
}

// To the transpose, [columns, rows] in whole tiles.
void Transpose(const Matrix<const bfloat16>& from, const Matrix<bfloat16>& to) {
  alignas(64) bfloat16 pairs[2 * kTile];
  ForEachBlock(from, [&](int64_t row, int64_t column) HWY_ATTR {
    Interleave(from, row, column, pairs, pairs + kTile);
    for (int64_t half = 0; half < 2; ++half)
      if (const int64_t at = column + half * kRows; at < to.rows)
        amx::TransposePairs(pairs + half * kTile, kDepth, kRows, to.row(at) + row, to.stride);
  });
}

// To panels [columns / 16][depth / 2, 16, 2]; an odd number of them is followed by another's room.
void MakePanels(const Matrix<const bfloat16>& from, int64_t depth, bfloat16* to) {
  const int64_t size = depth * kRows;
  ForEachBlock(from, [&](int64_t row, int64_t column) HWY_ATTR {
    bfloat16* first = to + column / kRows * size + row * kRows;
    Interleave(from, row, column, first, first + size);
  });
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace combiner {

#if COMBINER_HAS_AMX
namespace {

// What is made at once. Of the depth so much that what a block of sums reads of two panels again
// and again stays in the nearest cache; of rows and columns so many that they, and both factors
// laid out for them, stay in the second.
constexpr int64_t kDepthAtOnce = 512;
constexpr int64_t kSideAtOnce = 256;

void multiply_part(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                   bool accumulate, Scratch& scratch) {
  constexpr int64_t kTileDepth = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));
  PanelWeights::Panels panels;
  panels.in = round_up(a.rows, kTileDepth);
  panels.tiles = true;
  // Rows whose distance is a power of two would share few cache sets.
  const int64_t stride = panels.in + kTileDepth;
  const int64_t rows_size = round_up(std::min(kSideAtOnce, c.rows), kTileRows) * stride;
  const int64_t panels_size = round_up(std::min(kSideAtOnce, c.columns), 2 * kTileRows) * panels.in;
  auto* memory = scratch.reserve<bfloat16>(static_cast<size_t>(rows_size + panels_size));
  panels.bf16 = {memory + rows_size, static_cast<size_t>(panels_size)};
  for_each_band(c.rows, kSideAtOnce, [&](int64_t row, int64_t rows) {
    N_AVX3::Transpose(a.column_block(row, rows),
                      {memory, round_up(rows, kTileRows), panels.in, stride});
    for_each_band(c.columns, kSideAtOnce, [&](int64_t column, int64_t columns) {
      // Panels of all columns stay there for all rows.
      if (row == 0 || columns < c.columns)
        N_AVX3::MakePanels(b.column_block(column, columns), panels.in, panels.bf16.data());
      panels.out = columns;
      Scratch none;
      multiply_tiles<bfloat16, float>({memory, rows, panels.in, stride}, panels,
                                      c.row_block(row, rows).column_block(column, columns),
                                      {.accumulate = accumulate},
                                      {0, round_up(columns, kTileRows) / kTileRows}, none);
    });
  });
}

}  // namespace
#endif

void multiply_transposed([[maybe_unused]] Matrix<const bfloat16> a,
                         [[maybe_unused]] Matrix<const bfloat16> b,
                         [[maybe_unused]] Matrix<float> c, [[maybe_unused]] bool accumulate,
                         [[maybe_unused]] Scratch& scratch) {
#if COMBINER_HAS_AMX
  if (a.rows == 0 && !accumulate)
    for (int64_t i = 0; i < c.rows; ++i) std::fill_n(c.row(i), c.columns, 0.0f);
  for (int64_t first = 0; first < a.rows; first += kDepthAtOnce) {
    const int64_t depth = std::min(kDepthAtOnce, a.rows - first);
    multiply_part(a.row_block(first, depth), b.row_block(first, depth), c, accumulate || first > 0,
                  scratch);
  }
#else
  throw std::logic_error("there is no kernel of tile registers");
#endif
}

}  // namespace combiner
#endif  // HWY_ONCE

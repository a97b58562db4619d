// Computes a^T b as a product of panels after converting both factors: b to panels, a to the rows
// of its transpose.

#include <algorithm>

#include "base/for_each_band.h"
#include "kernels/amx/amx.h"
#include "kernels/amx/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx/transposed_product.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/amx/tiles-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Interleaves pairs of rows: 32 rows and 32 columns, starting at `row` and `column`, become two
// tiles, one with the first 16 columns and one with the others. Elements outside the matrix are
// zero.
HWY_INLINE void Interleave(const Matrix<const bfloat16>& m, int64_t row, int64_t column,
                           bfloat16* HWY_RESTRICT first, bfloat16* HWY_RESTRICT second) {
  const bfloat16* from = m.row(row) + column;
  const int64_t rows = m.rows - row;
  const int64_t columns = m.columns - column;
  if (rows >= kDepth && columns >= kDepth)
    return InterleaveRowsOf(
        [&](int64_t i) HWY_ATTR {
          // Prefetch the rows that follow: they are too many streams for the hardware prefetcher.
          _mm_prefetch(from + (i + kDepth) * m.stride, _MM_HINT_T0);
          return _mm512_loadu_si512(from + i * m.stride);
        },
        first, second);
  const auto some = static_cast<__mmask32>(columns >= kDepth ? ~0u : (1u << columns) - 1);
  InterleaveRowsOf(
      [&](int64_t i) HWY_ATTR {
        return _mm512_maskz_loadu_epi16(i < rows ? some : 0,
                                        from + std::min(i, rows - 1) * m.stride);
      },
      first, second);
}

// Calls visit(row, column) for each block of 32 rows and 32 columns, in the order in which they are
// stored.
template <class Visit>
HWY_INLINE void ForEachBlock(const Matrix<const bfloat16>& m, const Visit& visit) {
  for (int64_t row = 0; row < m.rows; row += kDepth)
    for (int64_t column = 0; column < m.columns; column += kDepth) visit(row, column);
}

// to = the transpose of `from`, [columns, rows], padded to whole tiles.
void Transpose(const Matrix<const bfloat16>& from, const Matrix<bfloat16>& to) {
  alignas(64) bfloat16 pairs[2 * kTile];
  ForEachBlock(from, [&](int64_t row, int64_t column) HWY_ATTR {
    Interleave(from, row, column, pairs, pairs + kTile);
    for (int64_t half = 0; half < 2; ++half)
      if (const int64_t at = column + half * kRows; at < to.rows)
        TransposePairs(pairs + half * kTile, kDepth, kRows, to.row(at) + row, to.stride);
  });
}

// Packs panels [columns / 16][depth / 2, 16, 2]. `to` must have room for an even number of panels.
void MakePanels(const Matrix<const bfloat16>& from, int64_t depth, bfloat16* to) {
  const int64_t size = depth * kRows;
  ForEachBlock(from, [&](int64_t row, int64_t column) HWY_ATTR {
    bfloat16* first = to + column / kRows * size + row * kRows;
    Interleave(from, row, column, first, first + size);
  });
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::amx {
namespace {

// Block sizes. The depth is such that the parts of two panels that a block of sums reads again and
// again stay in the L1 cache. The side is such that the block of c and both converted factors stay
// in the L2 cache.
constexpr int64_t kDepthAtOnce = 512;
constexpr int64_t kSideAtOnce = 256;

void multiply_part(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                   bool accumulate, Scratch& scratch) {
  constexpr int64_t kTileDepth = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));
  PanelWeights::Panels panels;
  panels.in = round_up(a.rows, kTileDepth);
  panels.kernel = &bfloat16_panels();
  // Rows that are a power of two apart would share a few cache sets.
  const int64_t stride = panels.in + kTileDepth;
  const int64_t rows_size = round_up(std::min(kSideAtOnce, c.rows), kTileRows) * stride;
  const int64_t panels_size = round_up(std::min(kSideAtOnce, c.columns), 2 * kTileRows) * panels.in;
  auto* memory = scratch.reserve<bfloat16>(static_cast<size_t>(rows_size + panels_size));
  panels.bf16 = {memory + rows_size, static_cast<size_t>(panels_size)};
  for_each_band(c.rows, kSideAtOnce, [&](int64_t row, int64_t rows) {
    N_AVX3::amx::Transpose(a.column_block(row, rows),
                           {memory, round_up(rows, kTileRows), panels.in, stride});
    for_each_band(c.columns, kSideAtOnce, [&](int64_t column, int64_t columns) {
      // If one band covers all columns, its panels are made once and used for all rows.
      if (row == 0 || columns < c.columns)
        N_AVX3::amx::MakePanels(b.column_block(column, columns), panels.in, panels.bf16.data());
      panels.out = columns;
      Scratch none;
      panels.kernel->bfloat16_to_float({memory, rows, panels.in, stride}, panels,
                                       c.row_block(row, rows).column_block(column, columns),
                                       {.accumulate = accumulate},
                                       {0, round_up(columns, kTileRows) / kTileRows}, none);
    });
  });
}

}  // namespace

void multiply_transposed(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                         bool accumulate, Scratch& scratch) {
  if (a.rows == 0 && !accumulate)
    for (int64_t i = 0; i < c.rows; ++i) std::fill_n(c.row(i), c.columns, 0.0f);
  for (int64_t first = 0; first < a.rows; first += kDepthAtOnce) {
    const int64_t depth = std::min(kDepthAtOnce, a.rows - first);
    multiply_part(a.row_block(first, depth), b.row_block(first, depth), c, accumulate || first > 0,
                  scratch);
  }
}

}  // namespace combiner::amx
#endif

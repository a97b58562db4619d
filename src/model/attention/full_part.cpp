#include <algorithm>

#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

// Keys per tile, chosen so that they, their values and their logits stay in the L2 cache.
constexpr int64_t kTileKeys = 256;
constexpr int64_t kTileQueries = 64;

// Splits causal attention into tiles. Queries first .. first + count - 1 attend to the positions up
// to themselves or, if `strict`, before themselves. Calls visit(first query, queries, first key,
// keys, visible) for each tile; the tiles of the same queries come in order of keys.
template <class Visit>
void for_each_tile(int64_t first, int64_t count, bool strict, Visit&& visit) {
  for (int64_t q = first; q < first + count; q += kTileQueries) {
    const int64_t queries = std::min(kTileQueries, first + count - q);
    for (int64_t k = 0; k < q + queries; k += kTileKeys)
      visit(q, queries, k, std::min(kTileKeys, q + queries - k),
            strict ? Visible::strict(q - k) : Visible::causal(q - k));
  }
}

template <class T>
class FullPart final : public Part<T> {
 public:
  KvLayout kv_layout() const override { return KvLayout::in_raster_order; }
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.positions() * (shape.positions() + 1) / 2;
  }

  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* /*state*/,
                   PartActivations<T>& /*act*/) const override {
    const int64_t first = band.first_row * band.shape.columns;
    const Matrix<const T> query = band.query.positions();
    const Matrix<const T> key = band.all_key.positions();
    const Matrix<const T> value = band.all_value.positions();
    const AttendedRows<T> to = attended.positions();
    for_each_tile(first, query.rows, false,
                  [&](int64_t q, int64_t queries, int64_t k, int64_t keys, Visible visible) {
                    attend_heads(band.shape, query.row_block(q - first, queries),
                                 key.row_block(k, keys), value.row_block(k, keys), visible,
                                 to.row_block(q - first, queries),
                                 k == 0 ? Merge::replace : Merge::merge, band.worker);
                  });
  }

  void add_spans(const Band<T>& row, int64_t column, T* /*state*/,
                 KvSpans<T>& spans) const override {
    const int64_t keys = row.first_row * row.shape.columns + column + 1;
    spans.add(row.all_key.positions().row_block(0, keys),
              row.all_value.positions().row_block(0, keys));
  }

  void attend_later(const Band<T>& image, const Attended<T>& attended, T* /*state*/,
                    PartActivations<T>& /*act*/) const override {
    const Matrix<const T> query = reversed(image.query.positions());
    const Matrix<const T> key = reversed(image.key.positions());
    const Matrix<const T> value = reversed(image.value.positions());
    const AttendedRows<T> to = reversed(attended.positions());
    for_each_tile(0, query.rows, true,
                  [&](int64_t q, int64_t queries, int64_t k, int64_t keys, Visible visible) {
                    attend_heads(image.shape, query.row_block(q, queries), key.row_block(k, keys),
                                 value.row_block(k, keys), visible, to.row_block(q, queries),
                                 Merge::merge, image.worker);
                  });
  }

  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* /*state*/,
                       PartActivations<T>& /*act*/) const override {
    gradient.clear_positions();
    for_each_tile(
        0, image.shape.positions(), false,
        [&](int64_t q, int64_t queries, int64_t k, int64_t keys, Visible visible) {
          const auto of_queries = [&](auto grid) { return grid.positions().row_block(q, queries); };
          const auto of_keys = [&](auto grid) { return grid.positions().row_block(k, keys); };
          attend_heads_backward(image.shape, of_queries(image.query), of_keys(image.key),
                                of_keys(image.value), visible, of_queries(gradient.d_out),
                                of_queries(gradient.lse), of_queries(gradient.delta),
                                of_queries(gradient.d_query), of_keys(gradient.d_key),
                                of_keys(gradient.d_value), image.worker);
        });
  }
};

}  // namespace

template <class T>
const Part<T>& full_part() {
  static const FullPart<T> part;
  return part;
}
template const Part<float>& full_part();
template const Part<bfloat16>& full_part();

}  // namespace combiner

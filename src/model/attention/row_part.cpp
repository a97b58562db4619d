#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

template <class T>
class RowPart : public Part<T> {
 public:
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.rows * (shape.columns * (shape.columns + 1) / 2);
  }

  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* /*state*/,
                   PartActivations<T>& /*act*/) const override {
    for (int64_t r = 0; r < band.query.rows; ++r)
      attend_heads(band.shape, band.query.row(r), band.key.row(r), band.value.row(r),
                   Visible::causal(), attended.row(r), Merge::replace, band.worker);
  }

  void add_spans(const Band<T>& row, int64_t column, T* /*state*/,
                 KvSpans<T>& spans) const override {
    spans.add(row.key.row(0).row_block(0, column + 1), row.value.row(0).row_block(0, column + 1));
  }

  // The positions to the right of the query.
  void attend_later(const Band<T>& image, const Attended<T>& attended, T* /*state*/,
                    PartActivations<T>& /*act*/) const override {
    for (int64_t r = 0; r < image.query.rows; ++r)
      attend_heads(image.shape, reversed(image.query.row(r)), reversed(image.key.row(r)),
                   reversed(image.value.row(r)), Visible::strict(), reversed(attended.row(r)),
                   Merge::merge, image.worker);
  }

  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* /*state*/,
                       PartActivations<T>& /*act*/) const override {
    for (int64_t r = 0; r < image.query.rows; ++r) {
      for (const Grid<float>& d : {gradient.d_query, gradient.d_key, gradient.d_value})
        clear(d.row(r));
      attend_heads_backward(image.shape, image.query.row(r), image.key.row(r), image.value.row(r),
                            Visible::causal(), gradient.d_out.row(r), gradient.lse.row(r),
                            gradient.delta.row(r), gradient.d_query.row(r), gradient.d_key.row(r),
                            gradient.d_value.row(r), image.worker);
    }
  }
};

// Does nothing for whole rows: summary_part computes their attention and its gradient.
template <class T>
class SummarisedRowPart final : public RowPart<T> {
 public:
  void attend_rows(const Band<T>& /*band*/, const Attended<T>& /*attended*/, T* /*state*/,
                   PartActivations<T>& /*act*/) const override {}
  void attend_backward(const Band<T>& /*image*/, const AttendedGradient<T>& /*gradient*/,
                       T* /*state*/, PartActivations<T>& /*act*/) const override {}
};

}  // namespace

template <class T>
const Part<T>& row_part() {
  static const RowPart<T> part;
  return part;
}
template const Part<float>& row_part();
template const Part<bfloat16>& row_part();

template <class T>
const Part<T>& summarised_row_part() {
  static const SummarisedRowPart<T> part;
  return part;
}
template const Part<float>& summarised_row_part();
template const Part<bfloat16>& summarised_row_part();

}  // namespace combiner

// A summary's value is its position's attention over its whole row, later positions included; its
// key is SummaryKey(LayerNorm(SummaryOutput(value) + the attention's input)).

#include <algorithm>

#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/attention/above.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"
#include "tensor/for_each_band.h"

namespace combiner {
namespace {

// The state: all positions' summaries.
template <class T>
struct Summaries {
  Grid<T> key, value;

  Summaries(const AttentionShape& shape, T* data)
      : key(Grid<T>::by_column(data, shape.rows, shape.columns, shape.dim)),
        value(Grid<T>::by_column(data + shape.positions() * shape.dim, shape.rows, shape.columns,
                                 shape.dim)) {}
};

template <class T>
class SummaryPart final : public AbovePart<T> {
 public:
  int64_t state_size(const AttentionShape& shape) const override {
    return 2 * shape.positions() * shape.dim;
  }
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    const int64_t n = rows * shape.columns;
    PartActivations<T> act;
    act.value = OwnedMatrix<T>(n, shape.dim);
    act.mean = OwnedMatrix<float>(n, shape.dim);
    act.lse = OwnedMatrix<float>(n, shape.heads);
    act.sum = OwnedMatrix<float>(n, shape.dim);
    act.moments = Buffer<RowMoments>(static_cast<size_t>(n));
    act.norm = OwnedMatrix<T>(n, shape.dim);
    return act;
  }
  // The row part's too, which shares its logits with the summaries' values.
  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                   PartActivations<T>& act) const override {
    const int64_t columns = band.shape.columns;
    const int64_t rows_at_once = rows_of(band.shape, kPositionsForward);
    for_each_band(band.query.rows, rows_at_once, [&](int64_t first, int64_t rows) {
      const Band<T> some = band.own_rows(first, rows);
      // What was made of the rows before is kept for a backward pass only.
      const int64_t at = attended.last ? 0 : first * columns;
      for (int64_t r = 0; r < rows; ++r)
        attend_some_and_all(tile_of(some.shape, some.query.row(r), some.key.row(r),
                                    some.value.row(r), Visible::causal()),
                            attended.row(first + r).output(),
                            values(some, r, at, act, attended.last).output(), some.worker.scratch);
      summarise(some, at, state, act);
    });
    this->attend_keys(band, attended, state);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.positions() * shape.columns + shape.columns * (shape.rows * (shape.rows - 1) / 2);
  }

 protected:
  Above<const T> above(const Band<T>& band, T* state) const override {
    const Summaries<T> summaries(band.shape, state);
    return {summaries.key, summaries.value};
  }

  void extend(const Band<T>& band, T* state, PartActivations<T>& act) const override {
    for (int64_t r = 0; r < band.query.rows; ++r)
      attend_heads(band.shape, band.query.row(r), band.key.row(r), band.value.row(r),
                   Visible::all(), values(band, r, 0, act, true), Merge::replace,
                   band.worker.scratch);
    summarise(band, 0, state, act);
  }

  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* /*state*/,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const int64_t rows_at_once = rows_of(shape, kPositionsBackward);
    for_each_band(shape.rows, rows_at_once, [&](int64_t first_row, int64_t rows) {
      const int64_t first = first_row * shape.columns;
      const auto of_positions = [&](const Grid<float>& d) {
        return d.positions().row_block(first, rows * shape.columns);
      };
      key_backward(image, gradient, first, of_positions(d_above.key), of_positions(d_above.value),
                   act);
      value_backward(image, gradient, first_row, rows, of_positions(d_above.value), act);
    });
  }

 private:
  // Some positions at a time: few enough that what is made of them stays in the second cache, many
  // enough that gradients of weights, on the way back, are read and written seldom.
  static constexpr int64_t kPositionsForward = 128;
  static constexpr int64_t kPositionsBackward = 256;
  static int64_t rows_of(const AttentionShape& shape, int64_t positions) {
    return std::max<int64_t>(positions / shape.columns, 1);
  }

  // Back through the summaries' keys to their values and the attention's input.
  static void key_backward(const Band<T>& image, const AttendedGradient<T>& gradient, int64_t first,
                           Matrix<float> d_key, Matrix<float> d_value, PartActivations<T>& act) {
    const SummaryGradient& summary = gradient.summary;
    const auto band = [&](auto m) { return m.row_block(first, d_key.rows); };
    const Matrix<T> rounded = gradient.scratch.rounded.view(d_key.rows);
    const Matrix<float> d_norm = gradient.scratch.d_query.view(d_key.rows);
    const Matrix<float> d_sum = band(gradient.d_input.positions());
    Multiplier& multiplier = image.worker.multiplier;
    convert<float, T>(d_key, rounded);
    multiplier.multiply(transposed(rounded), plain(band(act.norm.view())), summary.d_key, true);
    multiplier.multiply(plain(rounded), summary.key, d_norm);
    clear(d_sum);
    layer_norm_backward(band(act.sum.view()), act.moments.data() + first, summary.norm_weight,
                        d_norm, d_sum, summary.d_norm_weight, summary.d_norm_bias);
    convert<float, T>(d_sum, rounded);
    multiplier.multiply(transposed(rounded), plain(band(act.value.view())), summary.d_output, true);
    multiplier.multiply(plain(rounded), summary.output, d_value, {.accumulate = true});
  }

  // And from their values on, of whole rows.
  static void value_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                             int64_t first_row, int64_t rows, Matrix<float> d_value,
                             PartActivations<T>& act) {
    const AttentionShape& shape = image.shape;
    const Matrix<float> delta = gradient.scratch.delta.view(d_value.rows);
    const auto of_band = [&](auto m) {
      return m.row_block(first_row * shape.columns, d_value.rows);
    };
    head_products(d_value, of_band(act.mean.view()), shape.head_dim(), delta);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t r = first_row + i;
      const auto of_row = [&](auto m) { return m.row_block(i * shape.columns, shape.columns); };
      attend_heads_backward<T>(shape, image.query.row(r), image.key.row(r), image.value.row(r),
                               Visible::all(), of_row(d_value), of_row(of_band(act.lse.view())),
                               of_row(delta), gradient.d_query.row(r), gradient.d_key.row(r),
                               gradient.d_value.row(r), image.worker.scratch);
    }
  }

  // What the positions of the band's row r attend of it, later ones included. The band's begin at
  // `first` of the activations.
  static AttendedLine<T> values(const Band<T>& band, int64_t r, int64_t first,
                                PartActivations<T>& act, bool only_rounded) {
    const AttendedLine<T> all{act.mean.view(), act.value.view(), act.lse.view(), only_rounded};
    return all.row_block(first + r * band.shape.columns, band.shape.columns);
  }

  // From the band's values, those of the activations from `first` on, to its summaries.
  static void summarise(const Band<T>& band, int64_t first, T* state, PartActivations<T>& act) {
    std::visit([&](const auto* weights) { summarise(band, *weights, first, state, act); },
               band.summary);
  }
  template <class Dense>
  static void summarise(const Band<T>& band, const SummaryWeights<Dense>& weights, int64_t first,
                        T* state, PartActivations<T>& act) {
    const AttentionShape& shape = band.shape;
    const int64_t columns = shape.columns;
    const Summaries<T> summaries(shape, state);
    const auto of_band = [&](auto m) { return m.row_block(first, band.query.rows * columns); };
    const auto of_row = [&](auto m, int64_t r) { return m.row_block(r * columns, columns); };
    const Matrix<T> value = of_band(act.value.view());
    const Matrix<float> sum = of_band(act.sum.view());
    const Matrix<T> norm = of_band(act.norm.view());
    for (int64_t r = 0; r < band.query.rows; ++r)
      convert<T, float>(band.input.row(r), of_row(sum, r));
    dense(band.worker, Matrix<const T>(value), weights.output, sum, {.accumulate = true});
    layer_norm<T>(sum, weights.norm.weight, weights.norm.bias, shape.norm_epsilon, norm,
                  act.moments.data() + first);
    for (int64_t r = 0; r < band.query.rows; ++r) {
      const int64_t row = band.first_row + r;
      dense(band.worker, of_row(norm, r), weights.key, summaries.key.row(row));
      convert<T, T>(of_row(value, r), summaries.value.row(row));
    }
  }
};

}  // namespace

template <class T>
const Part<T>& summary_part() {
  static const SummaryPart<T> part;
  return part;
}
template const Part<float>& summary_part();
template const Part<bfloat16>& summary_part();

}  // namespace combiner

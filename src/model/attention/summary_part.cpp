// A summary's value is its position's attention over its whole row, later positions included; its
// key is SummaryKey(LayerNorm(SummaryOutput(value) + the attention's input)).

#include <algorithm>

#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/attention/above.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

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
    act.key = OwnedMatrix<T>(n, shape.dim);
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
    for (int64_t r = 0; r < band.query.rows; ++r)
      attend_some_and_all(tile_of(band.shape, band.query.row(r), band.key.row(r), band.value.row(r),
                                  Visible::causal()),
                          attended.row(r).output(), values(band, r, act, attended.last).output(),
                          band.worker.scratch);
    summarise(band, state, act);
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
                   Visible::all(), values(band, r, act, true), Merge::replace, band.worker.scratch);
    summarise(band, state, act);
  }

  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* /*state*/,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const int64_t n = shape.positions();
    const int64_t dim = shape.dim;
    const SummaryGradient& summary = gradient.summary;
    const Matrix<float> d_key(d_above.key.data, n, dim);
    const Matrix<float> d_value(d_above.value.data, n, dim);
    const Matrix<T> rounded = gradient.scratch.rounded.view();
    Multiplier& multiplier = image.worker.multiplier;

    // Back through the summary's key to its value and the attention's input.
    convert<float, T>(d_key, rounded);
    multiplier.multiply(transposed(rounded), plain(act.norm.view()), summary.d_key, true);
    const Matrix<float> d_norm = gradient.scratch.d_query.view();
    multiplier.multiply(plain(rounded), summary.key, d_norm);
    const Matrix<float> d_sum = d_key;  // used up
    std::fill_n(d_sum.data, n * dim, 0.0f);
    layer_norm_backward(act.sum.view(), act.moments.data(), summary.norm_weight, d_norm, d_sum,
                        summary.d_norm_weight, summary.d_norm_bias);
    for (int64_t r = 0; r < shape.rows; ++r)
      add_rows(d_sum.row_block(r * shape.columns, shape.columns), gradient.d_input.row(r));
    convert<float, T>(d_sum, rounded);
    multiplier.multiply(transposed(rounded), plain(act.value.view()), summary.d_output, true);
    multiplier.multiply(plain(rounded), summary.output, d_value, {.accumulate = true});

    const Matrix<float> delta = gradient.scratch.delta.view();
    head_products(d_value, act.mean.view(), shape.head_dim(), delta);
    for (int64_t r = 0; r < shape.rows; ++r) {
      const auto of_row = [&](auto m) { return m.row_block(r * shape.columns, shape.columns); };
      attend_heads_backward<T>(shape, image.query.row(r), image.key.row(r), image.value.row(r),
                               Visible::all(), of_row(d_value), of_row(act.lse.view()),
                               of_row(delta), gradient.d_query.row(r), gradient.d_key.row(r),
                               gradient.d_value.row(r), image.worker.scratch);
    }
  }

 private:
  // What the positions of a row attend of it, later ones included.
  static AttendedLine<T> values(const Band<T>& band, int64_t r, PartActivations<T>& act,
                                bool only_rounded) {
    const AttendedLine<T> band_values{act.mean.view(), act.value.view(), act.lse.view(),
                                      only_rounded};
    return band_values.row_block(r * band.shape.columns, band.shape.columns);
  }

  // From the band's values to its summaries.
  static void summarise(const Band<T>& band, T* state, PartActivations<T>& act) {
    std::visit([&](const auto* weights) { summarise(band, *weights, state, act); }, band.summary);
  }
  template <class Dense>
  static void summarise(const Band<T>& band, const SummaryWeights<Dense>& weights, T* state,
                        PartActivations<T>& act) {
    const AttentionShape& shape = band.shape;
    const int64_t columns = shape.columns;
    const int64_t n = band.query.rows * columns;
    const Summaries<T> summaries(shape, state);
    const Matrix<T> key = act.key.view(n);
    const Matrix<T> value = act.value.view(n);
    const Matrix<float> sum = act.sum.view(n);
    for (int64_t r = 0; r < band.query.rows; ++r)
      convert<T, float>(band.input.row(r), sum.row_block(r * columns, columns));
    dense(band.worker, Matrix<const T>(value), weights.output, sum, {.accumulate = true});
    layer_norm<T>(sum, weights.norm.weight, weights.norm.bias, shape.norm_epsilon, act.norm.view(n),
                  act.moments.data());
    dense(band.worker, act.norm.view(n), weights.key, key);
    for (int64_t r = 0; r < band.query.rows; ++r) {
      const auto of_row = [&](auto m) { return m.row_block(r * columns, columns); };
      convert<T, T>(of_row(key), summaries.key.row(band.first_row + r));
      convert<T, T>(of_row(value), summaries.value.row(band.first_row + r));
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

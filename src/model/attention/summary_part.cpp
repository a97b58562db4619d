// A summary's value is its position's attention over the whole row, later positions included; only
// rows below read it, so attention remains causal. Its key is
// SummaryKey(LayerNorm(SummaryOutput(value) + the attention's input)).

#include <algorithm>

#include "base/for_each_band.h"
#include "base/round_up.h"
#include "kernels/int8_rows.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "kernels/stream_store.h"
#include "model/attention/above.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

// The state holds the summaries of all positions: KeyValueGrids, or in 8 bits, column by column,
// keys and values [C, R, D] and their scales [C, R].
struct Int8Summaries {
  int64_t rows, columns, dim;
  int8_t *keys, *values;
  float *key_scales, *value_scales;

  template <class T>
  Int8Summaries(const AttentionShape& shape, T* data)
      : rows(shape.rows), columns(shape.columns), dim(shape.dim) {
    const int64_t n = shape.positions();
    key_scales = reinterpret_cast<float*>(data);
    value_scales = key_scales + n;
    keys = reinterpret_cast<int8_t*>(value_scales + n);
    values = keys + n * dim;
  }
  static int64_t bytes(const AttentionShape& shape) {
    const int64_t bytes = 2 * shape.positions() * (shape.dim + static_cast<int64_t>(sizeof(float)));
    return round_up(bytes, int64_t{64});  // keeps the floats of the next state aligned
  }

  Matrix<int8_t> column(int8_t* of, int64_t c) const { return {of + c * rows * dim, rows, dim}; }
  // Row r of all columns. Its scales begin at index r and are `rows` apart.
  Matrix<int8_t> row(int8_t* of, int64_t r) const {
    return {of + r * dim, columns, dim, rows * dim};
  }
};

template <class T>
class SummaryPart final : public AbovePart<T> {
 public:
  int64_t state_size(const AttentionShape& shape) const override {
    if (shape.summaries == KeptSummaries::in_8_bits)
      return Int8Summaries::bytes(shape) / static_cast<int64_t>(sizeof(T));
    return 2 * shape.positions() * shape.dim;
  }
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    const int64_t n = rows * shape.columns;
    PartActivations<T> act;
    act.key = OwnedMatrix<T>(
        std::min(rows, rows_per_band(shape, kPositionsForward)) * shape.columns, shape.dim);
    act.unrotated = Rotary::make_scratch<T>(shape, act.key.view().rows, shape.dim);
    act.value = OwnedMatrix<T>(n, shape.dim);
    act.mean = OwnedMatrix<float>(shape.columns, shape.dim);
    act.lse = OwnedMatrix<float>(n, shape.heads);
    act.sum = OwnedMatrix<float>(n, shape.dim);
    act.moments = Buffer<RowMoments>(static_cast<size_t>(n));
    act.norm = OwnedMatrix<T>(n, shape.dim);
    return act;
  }
  // Also computes the row part's attention, which shares its logits with the summaries' values.
  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                   PartActivations<T>& act) const override {
    // Only a backward pass needs the intermediate results of earlier rows.
    const bool keep_all = !attended.forward_only;
    summarise_rows(band, keep_all, state, act, [&](int64_t r, const AttendedRows<T>& values) {
      band.worker.cancel.poll();
      attend_causal_and_full(tile_of(band.shape, band.query.row(r), band.key.row(r),
                                     band.value.row(r), Visible::causal()),
                             attended.row(r).output(), values.output(), band.worker.scratch);
    });
    this->attend_keys(band, attended, state);
  }
  void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const override {
    if (row.shape.summaries != KeptSummaries::in_8_bits)
      return AbovePart<T>::add_spans(row, column, state, spans);
    const Int8Summaries summaries(row.shape, state);
    const auto rows_so_far = [&](int8_t* of) {
      return summaries.column(of, column).row_block(0, row.first_row);
    };
    spans.add(rows_so_far(summaries.keys), summaries.key_scales + column * row.shape.rows,
              rows_so_far(summaries.values), summaries.value_scales + column * row.shape.rows);
  }
  bool rounds_gradient() const override { return true; }
  // Also computes the row part's gradient.
  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* state,
                       PartActivations<T>& act) const override {
    clear(gradient.d_query.positions());
    AbovePart<T>::attend_backward(image, gradient, state, act);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.positions() * shape.columns + shape.columns * (shape.rows * (shape.rows - 1) / 2);
  }

 protected:
  Above<const T> above(const Band<T>& band, T* state) const override {
    const KeyValueGrids<T> summaries(band.shape, state);
    return {summaries.key, summaries.value};
  }

  void extend(const Band<T>& band, T* state, PartActivations<T>& act) const override {
    summarise_rows(band, true, state, act, [&](int64_t r, const AttendedRows<T>& values) {
      attend_heads(band.shape, band.query.row(r), band.key.row(r), band.value.row(r),
                   Visible::all(), values, Merge::replace, band.worker);
    });
  }

  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* /*state*/,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const int64_t rows_at_once = rows_per_band(shape, kPositionsBackward);
    for_each_band(shape.rows, rows_at_once, [&](int64_t first_row, int64_t rows) {
      const int64_t first = first_row * shape.columns;
      const auto of_positions = [&](const Grid<float>& d) {
        return d.positions().row_block(first, rows * shape.columns);
      };
      key_backward(image, gradient, first, of_positions(d_above.key), of_positions(d_above.value),
                   act);
      rows_backward(image, gradient, first_row, rows, of_positions(d_above.value), act);
    });
  }

 private:
  // The number of positions processed at a time: few enough that their intermediate results stay in
  // the L2 cache, many enough that the backward pass rarely reads and writes the weights'
  // gradients.
  static constexpr int64_t kPositionsForward = 128;
  static constexpr int64_t kPositionsBackward = 256;
  static int64_t rows_per_band(const AttentionShape& shape, int64_t positions) {
    return std::max<int64_t>(positions / shape.columns, 1);
  }

  // Backward from the summaries' keys to their values and to the attention's input.
  static void key_backward(const Band<T>& image, const AttendedGradient<T>& gradient, int64_t first,
                           Matrix<float> d_key, Matrix<float> d_value, PartActivations<T>& act) {
    const SummaryGradient& summary = gradient.summary;
    const auto band = [&](auto m) { return m.row_block(first, d_key.rows); };
    const Matrix<T> rounded = gradient.scratch.rounded.view(d_key.rows);
    const Matrix<float> d_norm = gradient.scratch.d_query.view(d_key.rows);
    const Matrix<float> d_sum = band(gradient.d_input.positions());
    Multiplier& multiplier = image.worker.multiplier;
    if (image.summary->rotary)
      image.summary->rotary->template rotate<float, T>(d_key, first, Rotation::back, rounded);
    else
      convert<float, T>(d_key, rounded);
    multiplier.multiply(transposed(rounded), plain(band(act.norm.view())), summary.key, true);
    dense_backward_input(image.worker, rounded, image.summary->key, d_norm);
    clear(d_sum);
    layer_norm_backward(band(act.sum.view()), act.moments.data() + first,
                        image.summary->norm.weight, d_norm, d_sum, summary.norm_weight,
                        summary.norm_bias);
    convert<float, T>(d_sum, rounded);
    multiplier.multiply(transposed(rounded), plain(band(act.value.view())), summary.output, true);
    dense_backward_input(image.worker, rounded, image.summary->output, d_value, true);
  }

  // Backward from the summaries' values and the row part's output to queries, keys and values.
  static void rows_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                            int64_t first_row, int64_t rows, Matrix<float> d_value,
                            PartActivations<T>& act) {
    const AttentionShape& shape = image.shape;
    const Matrix<float> delta = gradient.scratch.delta.view(d_value.rows);
    const auto of_band = [&](auto m) {
      return m.row_block(first_row * shape.columns, d_value.rows);
    };
    head_products<T>(d_value, of_band(act.value.view()), shape.head_dim(), delta);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t r = first_row + i;
      const auto of_row = [&](auto m) { return m.row_block(i * shape.columns, shape.columns); };
      image.worker.cancel.poll();
      attend_causal_and_full_backward(
          tile_of(shape, image.query.row(r), image.key.row(r), image.value.row(r),
                  Visible::causal()),
          output_gradient(gradient.d_out.row(r), gradient.lse.row(r), gradient.delta.row(r)),
          output_gradient(of_row(d_value), of_row(of_band(act.lse.view())), of_row(delta)),
          gradient.row_gradient(r), image.worker.scratch);
    }
  }

  // Computes the band's summaries. attend_row(r, values) must compute the values of row r of the
  // band: the attention of each position over the whole row. Unless `keep_all`, the intermediate
  // results of successive rows share the same memory.
  template <class AttendRow>
  static void summarise_rows(const Band<T>& band, bool keep_all, T* state, PartActivations<T>& act,
                             AttendRow&& attend_row) {
    const int64_t columns = band.shape.columns;
    for_each_band(
        band.query.rows, rows_per_band(band.shape, kPositionsForward),
        [&](int64_t first_row, int64_t rows) {
          const int64_t first = keep_all ? first_row * columns : 0;
          for (int64_t i = 0; i < rows; ++i) {
            const auto of_row = [&](auto m) { return m.row_block(first + i * columns, columns); };
            attend_row(first_row + i, AttendedRows<T>{act.mean.view(), of_row(act.value.view()),
                                                      of_row(act.lse.view()), true});
          }
          summarise(band, first_row, rows, first, state, act);
        });
  }
  // Computes summaries of some of the band's rows from their values, which begin at position
  // `first` of the activations.
  static void summarise(const Band<T>& band, int64_t first_row, int64_t rows, int64_t first,
                        T* state, PartActivations<T>& act) {
    const SummaryWeights& weights = *band.summary;
    const AttentionShape& shape = band.shape;
    const int64_t columns = shape.columns;
    const auto of_rows = [&](auto m) { return m.row_block(first, rows * columns); };
    const auto of_row = [&](auto m, int64_t i) { return m.row_block(i * columns, columns); };
    const Matrix<T> value = of_rows(act.value.view());
    const Matrix<T> norm = of_rows(act.norm.view());
    const Matrix<float> sum = of_rows(act.sum.view());
    for (int64_t i = 0; i < rows; ++i)
      convert<T, float>(band.input.row(first_row + i), of_row(sum, i));
    dense(band.worker, Matrix<const T>(value), weights.output, sum, {.accumulate = true});
    layer_norm<T>(sum, weights.norm.weight, weights.norm.bias, shape.norm_epsilon, norm,
                  act.moments.data() + first);
    const Matrix<T> key = act.key.view(rows * columns);
    make_keys(band, norm, first_row, key, act);
    for (int64_t i = 0; i < rows; ++i)
      store(shape, band.first_row + first_row + i, of_row(key, i), of_row(value, i), state,
            band.next_read, band.worker.scratch);
  }

  // Computes the keys of summaries from `norm`, which holds rows of the band from first_row on.
  static void make_keys(const Band<T>& band, Matrix<T> norm, int64_t first_row, Matrix<T> key,
                        PartActivations<T>& act) {
    const SummaryWeights& weights = *band.summary;
    if (!weights.rotary) return dense(band.worker, norm, weights.key, key);
    const Matrix<float> unrotated = Rotary::before_rounding(key, act.unrotated);
    dense(band.worker, norm, weights.key, unrotated);
    weights.rotary->template rotate<float, T>(
        unrotated, (band.first_row + first_row) * band.shape.columns, Rotation::forward, key);
  }

  // Stores the summaries of one row in the state.
  static void store(const AttentionShape& shape, int64_t row, Matrix<const T> key,
                    Matrix<const T> value, T* state, NextRead next_read, Scratch& scratch) {
    const bool bypass_cache = next_read == NextRead::late;
    if (shape.summaries == KeptSummaries::in_8_bits) {
      const Int8Summaries to(shape, state);
      const auto put = [&](Matrix<const T> from, Matrix<int8_t> place, float* scales) {
        if (!bypass_cache) return quantize_rows<T>(from, place, scales + row, to.rows);
        const Matrix<int8_t> rounded(
            scratch.reserve<int8_t>(static_cast<size_t>(from.rows * from.columns)), from.rows,
            from.columns);
        quantize_rows<T>(from, rounded, scales + row, to.rows);
        stream_store<int8_t>(rounded, place);
      };
      put(key, to.row(to.keys, row), to.key_scales);
      put(value, to.row(to.values, row), to.value_scales);
      return;
    }
    const KeyValueGrids<T> to(shape, state);
    const auto put = shape.summaries == KeptSummaries::rounded ? round_rows<T>
                     : bypass_cache                            ? stream_store<T>
                                                               : convert<T, T>;
    put(key, to.key.row(row));
    put(value, to.value.row(row));
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

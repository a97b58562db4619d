#include "model/attention_rowmajor.h"

#include <algorithm>

#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/attention_tile.h"

namespace combiner::rowmajor {
namespace {

// The state: all positions' summaries, and (when decoding) the current row's positions.
template <class T>
struct State {
  Matrix<T> summary_key, summary_value;  // [L, D]
  Matrix<T> row_input;                   // [columns, D] attention inputs
  Matrix<T> row_query_key_value;         // [columns, 3D]

  State(const ModelConfig& config, T* data)
      : summary_key(data, config.positions(), config.embed_dim),
        summary_value(summary_key.row(summary_key.rows), config.positions(), config.embed_dim),
        row_input(summary_value.row(summary_value.rows), config.columns(), config.embed_dim),
        row_query_key_value(row_input.row(row_input.rows), config.columns(),
                            3 * int64_t{config.embed_dim}) {}
};

// Summarises whole rows: norm1 and query_key_value are of their positions, as are the views of the
// state to fill.
template <class T, class Dense>
void summarise(const ModelConfig& config, const BlockWeights<Dense>& weights, Matrix<const T> norm1,
               QueryKeyValue<const T> positions, Matrix<T> summary_key, Matrix<T> summary_value,
               SummaryActivations<T>& act, Worker& worker) {
  const int64_t n = norm1.rows;
  const int64_t columns = config.columns();
  for (int64_t first = 0; first < n; first += columns) {
    const QueryKeyValue<const T> row = positions.rows(first, columns);
    for (int h = 0; h < config.num_heads; ++h)
      attend(head_tile(config, h, row.query, row.key, row.value, Visible::all()),
             head_output(config, h, act.value.view().row_block(first, columns),
                         act.lse.view().row_block(first, columns)),
             Merge::replace, worker.attention);
  }
  convert<float, T>(act.value.view(n), summary_value);
  convert<T, float>(norm1, act.sum.view(n));
  dense(worker, Matrix<const T>(summary_value), weights.summary_output, act.sum.view(n), true);
  layer_norm<T>(act.sum.view(n), weights.summary_norm.weight, weights.summary_norm.bias,
                static_cast<float>(config.norm_epsilon), act.norm.view(n), act.moments.data());
  dense(worker, act.norm.view(n), weights.summary_key, summary_key);
}

}  // namespace

int64_t state_size(const ModelConfig& config) {
  const int64_t dim = config.embed_dim;
  return 2 * config.positions() * dim + 4 * config.columns() * dim;
}

template <class T>
void attend_rows(const ModelConfig& config, const BlockWeights<PackedWeights>& weights,
                 int64_t first_row, int64_t rows, BlockActivations<T>& act, T* state_data,
                 Worker& worker) {
  const int64_t columns = config.columns();
  const int64_t n = rows * columns;
  const State<T> state(config, state_data);
  const QueryKeyValue<const T> positions{act.query_key_value.view(n)};
  const Matrix<float> attended = act.attended.view(n);
  const Matrix<float> lse = act.lse.view(n);

  for (int64_t first = 0; first < n; first += columns) {
    const QueryKeyValue<const T> row = positions.rows(first, columns);
    for (int h = 0; h < config.num_heads; ++h)
      attend(
          head_tile(config, h, row.query, row.key, row.value, Visible::causal()),
          head_output(config, h, attended.row_block(first, columns), lse.row_block(first, columns)),
          Merge::replace, worker.attention);
  }

  summarise<T>(config, weights, act.norm1.view(n), positions,
               state.summary_key.row_block(first_row * columns, n),
               state.summary_value.row_block(first_row * columns, n), act.summary, worker);

  const Matrix<const T> key = state.summary_key;
  const Matrix<const T> value = state.summary_value;
  for (int64_t c = 0; c < columns; ++c)
    for (int h = 0; h < config.num_heads; ++h)
      attend(
          head_tile(config, h, grid_column(positions.query, columns, c, rows),
                    grid_column(key, columns, c, first_row + rows),
                    grid_column(value, columns, c, first_row + rows), Visible::strict(first_row)),
          head_output(config, h, grid_column(attended, columns, c, rows),
                      grid_column(lse, columns, c, rows)),
          Merge::merge, worker.attention);
}

template <class T>
void attend_position(const ModelConfig& config, const BlockWeights<PanelWeights>& weights,
                     int64_t position, const T* norm1, const T* query_key_value, float* attended,
                     T* state_data, SummaryActivations<T>& summary, Worker& worker) {
  const int64_t columns = config.columns();
  const int64_t dim = config.embed_dim;
  const int64_t r = position / columns;
  const int64_t c = position % columns;
  const State<T> state(config, state_data);
  std::copy_n(norm1, dim, state.row_input.row(c));
  std::copy_n(query_key_value, 3 * dim, state.row_query_key_value.row(c));

  const QueryKeyValue<const T> row{state.row_query_key_value};
  const Matrix<const T> query = row.query.row_block(c, 1);
  const Matrix<const T> above_key = grid_column<const T>(state.summary_key, columns, c, r);
  const Matrix<const T> above_value = grid_column<const T>(state.summary_value, columns, c, r);
  for (int h = 0; h < config.num_heads; ++h) {
    float lse;
    const AttentionOutput output{attended + int64_t{h} * config.head_dim(), 0, &lse, 0};
    attend(head_tile(config, h, query, row.key.row_block(0, c + 1), row.value.row_block(0, c + 1),
                     Visible::all()),
           output, Merge::replace, worker.attention);
    attend(head_tile(config, h, query, above_key, above_value, Visible::all()), output,
           Merge::merge, worker.attention);
  }

  if (c == columns - 1)
    summarise<T>(config, weights, state.row_input, row,
                 state.summary_key.row_block(r * columns, columns),
                 state.summary_value.row_block(r * columns, columns), summary, worker);
}

template <class T>
void attend_backward(const ModelConfig& config, const BlockParameters& parameters, const T* values,
                     const float* norms, BlockActivations<T>& act, const T* state_data,
                     Matrix<const float> d_attended, Matrix<const float> delta,
                     Matrix<float> d_query_key_value, Matrix<float> d_norm1, float* gradient,
                     AttentionBackwardScratch<T>& scratch, Worker& worker) {
  const int64_t rows = config.rows();
  const int64_t columns = config.columns();
  const int64_t dim = config.embed_dim;
  const QueryKeyValue<const T> positions{act.query_key_value.view()};
  const QueryKeyValue<float> d_positions{d_query_key_value};
  const State<const T> state(config, state_data);
  const Matrix<const float> lse = act.lse.view();

  const Matrix<float> d_key = scratch.d_summary_key.view();
  const Matrix<float> d_value = scratch.d_summary_value.view();
  std::fill_n(d_key.data, d_key.rows * dim, 0.0f);
  std::fill_n(d_value.data, d_value.rows * dim, 0.0f);
  for (int64_t c = 0; c < columns; ++c)
    for (int h = 0; h < config.num_heads; ++h)
      combiner::attend_backward(
          head_tile(config, h, grid_column(positions.query, columns, c, rows),
                    grid_column(state.summary_key, columns, c, rows),
                    grid_column(state.summary_value, columns, c, rows), Visible::strict()),
          head_output_gradient(config, h, grid_column(d_attended, columns, c, rows),
                               grid_column(lse, columns, c, rows),
                               grid_column(delta, columns, c, rows)),
          head_gradient(config, h, grid_column(d_positions.query, columns, c, rows),
                        grid_column(d_key, columns, c, rows),
                        grid_column(d_value, columns, c, rows)),
          worker.attention);

  // From the summaries' keys back to their values and the attention's input.
  const auto weight = [&](size_t offset) { return Matrix<const T>(values + offset, dim, dim); };
  const auto d_weight = [&](size_t offset) { return Matrix<float>(gradient + offset, dim, dim); };
  const Matrix<T> d_in = scratch.d_summary_in.view();
  const Matrix<float> d_norm = scratch.d_summary_norm.view();
  const Matrix<float> d_sum = scratch.d_summary_sum.view();
  convert<float, T>(d_key, d_in);
  worker.multiplier.multiply(transposed(d_in), plain(act.summary.norm.view()),
                             d_weight(parameters.summary_key), true);
  worker.multiplier.multiply(plain(d_in), plain(weight(parameters.summary_key)), d_norm);
  std::fill_n(d_sum.data, d_sum.rows * dim, 0.0f);
  layer_norm_backward(act.summary.sum.view(), act.summary.moments.data(),
                      norms + parameters.summary_norm.weight, d_norm, d_sum,
                      gradient + parameters.summary_norm.weight,
                      gradient + parameters.summary_norm.bias);
  add_row({d_sum.data, static_cast<size_t>(d_sum.rows * dim)}, d_norm1.data);
  convert<float, T>(d_sum, d_in);
  worker.multiplier.multiply(transposed(d_in), plain(state.summary_value),
                             d_weight(parameters.summary_output), true);
  worker.multiplier.multiply(plain(d_in), plain(weight(parameters.summary_output)), d_value, true);

  const Matrix<float> summary_delta = scratch.summary_delta.view();
  head_products(d_value, act.summary.value.view(), config.head_dim(), summary_delta);
  for (int64_t first = 0; first < rows * columns; first += columns) {
    const auto in_row = [&](auto matrix) { return matrix.row_block(first, columns); };
    const QueryKeyValue<const T> row = positions.rows(first, columns);
    const QueryKeyValue<float> d_row = d_positions.rows(first, columns);
    for (int h = 0; h < config.num_heads; ++h) {
      const AttentionGradient d_head =
          head_gradient(config, h, d_row.query, d_row.key, d_row.value);
      combiner::attend_backward(
          head_tile(config, h, row.query, row.key, row.value, Visible::causal()),
          head_output_gradient(config, h, in_row(d_attended), in_row(lse), in_row(delta)), d_head,
          worker.attention);
      combiner::attend_backward(
          head_tile(config, h, row.query, row.key, row.value, Visible::all()),
          head_output_gradient(config, h, in_row(d_value), in_row(act.summary.lse.view()),
                               in_row(summary_delta)),
          d_head, worker.attention);
    }
  }
}

#define COMBINER_INSTANTIATE(T)                                                                    \
  template void attend_rows(const ModelConfig&, const BlockWeights<PackedWeights>&, int64_t,       \
                            int64_t, BlockActivations<T>&, T*, Worker&);                           \
  template void attend_position(const ModelConfig&, const BlockWeights<PanelWeights>&, int64_t,    \
                                const T*, const T*, float*, T*, SummaryActivations<T>&, Worker&);  \
  template void attend_backward(const ModelConfig&, const BlockParameters&, const T*,              \
                                const float*, BlockActivations<T>&, const T*, Matrix<const float>, \
                                Matrix<const float>, Matrix<float>, Matrix<float>, float*,         \
                                AttentionBackwardScratch<T>&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner::rowmajor

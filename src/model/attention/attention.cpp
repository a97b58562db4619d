#include "model/attention/attention.h"

#include <algorithm>
#include <span>
#include <stdexcept>

#include "kernels/rows.h"
#include "model/attention/parts.h"

namespace combiner {
namespace {

template <class T>
using Parts = std::span<const Part<T>* const>;

template <class T, const Part<T>& (*... part)()>
Parts<T> list_of() {
  static const Part<T>* const parts[] = {&part()...};
  return parts;
}

template <class T>
Parts<T> parts(Attention attention) {
  switch (attention) {
    case Attention::axial_rowmajor:
      return list_of<T, row_part<T>, summary_part<T>>();
    case Attention::axial_vertical:
      return list_of<T, row_part<T>, column_part<T>, vertical_part<T>>();
    case Attention::axial_horizontal:
      return list_of<T, row_part<T>, column_part<T>, left_part<T>, right_part<T>>();
    case Attention::axial_mixture:
      return list_of<T, row_part<T>, column_part<T>, vertical_part<T>, left_part<T>,
                     right_part<T>>();
    case Attention::fixed:
      return list_of<T, row_part<T>, whole_row_part<T>>();
    case Attention::logsparse:
      return list_of<T, span_part<T>>();
    case Attention::full:
      return list_of<T, full_part<T>>();
    case Attention::axial:
      return list_of<T, row_part<T>, column_part<T>>();
    case Attention::fixed_sparse:
      return list_of<T, row_part<T>, row_end_part<T>>();
    case Attention::logsparse_sparse:
      return list_of<T, span_end_part<T>>();
  }
  throw std::logic_error("attention variant without parts");
}

template <class T>
bool keeps_positions(Parts<T> parts) {
  return std::ranges::any_of(parts, [](const Part<T>* part) { return part->keeps_positions(); });
}

// A layer's state.
template <class T>
struct LayerState {
  // The row being decoded, [C, D] each.
  Matrix<T> input, query, key, value;
  // All positions, [L, D] each, where the variant keeps them.
  Matrix<T> all_key, all_value;
  T* of_parts;  // one part's after another

  LayerState(Parts<T> parts, const AttentionShape& shape, T* data) {
    const int64_t dim = shape.dim;
    const Matrix<T> row(data, shape.columns, 4 * dim);
    input = row.column_block(0, dim);
    query = row.column_block(dim, dim);
    key = row.column_block(2 * dim, dim);
    value = row.column_block(3 * dim, dim);
    of_parts = row.row(row.rows);
    if (!keeps_positions<T>(parts)) return;
    const Matrix<T> positions(of_parts, shape.positions(), 2 * dim);
    all_key = positions.column_block(0, dim);
    all_value = positions.column_block(dim, dim);
    of_parts = positions.row(positions.rows);
  }

  // The kept keys and values of the first rows; grids of nothing if none are kept.
  Grid<const T> keys_of(int64_t rows, const AttentionShape& shape) const {
    return of_rows(all_key, rows, shape);
  }
  Grid<const T> values_of(int64_t rows, const AttentionShape& shape) const {
    return of_rows(all_value, rows, shape);
  }

 private:
  static Grid<const T> of_rows(Matrix<T> all, int64_t rows, const AttentionShape& shape) {
    if (!all.data) return {};
    return Grid<const T>(all.row_block(0, rows * shape.columns), shape.columns);
  }
};

// Calls visit(part, its state, its activations) for each part.
template <class T, class Visit>
void for_each_part(Parts<T> parts, const AttentionShape& shape, const LayerState<T>& state,
                   AttentionActivations<T>& activations, Visit&& visit) {
  T* own = state.of_parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    visit(*parts[i], own, activations[i]);
    own += parts[i]->state_size(shape);
  }
}

// Whole rows, whose keys and values the state now keeps.
template <class T>
Band<T> band_of(const AttentionShape& shape, int64_t first_row, const AttentionInput<T>& positions,
                AnySummaryWeights summary, const LayerState<T>& state, Worker& worker) {
  const int64_t n = positions.query.rows;
  const int64_t rows = first_row + n / shape.columns;
  if (state.all_key.data) {
    convert<T, T>(positions.key, state.all_key.row_block(first_row * shape.columns, n));
    convert<T, T>(positions.value, state.all_value.row_block(first_row * shape.columns, n));
  }
  const auto grid = [&](Matrix<const T> m) { return Grid<const T>(m, shape.columns); };
  return {shape,
          first_row,
          grid(positions.input),
          grid(positions.query),
          grid(positions.key),
          grid(positions.value),
          state.keys_of(rows, shape),
          state.values_of(rows, shape),
          summary,
          worker};
}

Attended attended_grids(const AttentionShape& shape, Matrix<float> attended, Matrix<float> lse) {
  return {Grid<float>(attended, shape.columns), Grid<float>(lse, shape.columns)};
}

}  // namespace

int64_t attention_state_size(Attention attention, const AttentionShape& shape) {
  const Parts<float> list = parts<float>(attention);
  int64_t size = 4 * shape.columns * shape.dim;
  if (keeps_positions<float>(list)) size += 2 * shape.positions() * shape.dim;
  for (const Part<float>* part : list) size += part->state_size(shape);
  return size;
}

int64_t attention_pairs(Attention attention, const AttentionShape& shape) {
  int64_t pairs = 0;
  for (const Part<float>* part : parts<float>(attention)) pairs += part->pairs(shape);
  return pairs;
}

bool looks_both_ways(Attention attention) {
  return std::ranges::all_of(parts<float>(attention),
                             [](const Part<float>* part) { return part->looks_both_ways(); });
}

template <class T>
AttentionActivations<T> attention_activations(Attention attention, const AttentionShape& shape,
                                              int64_t rows) {
  AttentionActivations<T> activations;
  for (const Part<T>* part : parts<T>(attention))
    activations.push_back(part->activations(shape, rows));
  return activations;
}

template <class T>
void attend_rows(Attention attention, const AttentionShape& shape, int64_t first_row,
                 const AttentionInput<T>& positions, AnySummaryWeights summary,
                 Matrix<float> attended, Matrix<float> lse, T* state,
                 AttentionActivations<T>& activations, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> band = band_of(shape, first_row, positions, summary, layer, worker);
  const Attended grids = attended_grids(shape, attended, lse);
  for_each_part<T>(list, shape, layer, activations,
                   [&](const Part<T>& part, T* own, PartActivations<T>& act) {
                     part.attend_rows(band, grids, own, act);
                   });
}

template <class T>
void attend_position(Attention attention, const AttentionShape& shape, int64_t position,
                     const AttentionInput<T>& input, AnySummaryWeights summary,
                     Matrix<float> attended, Matrix<float> lse, T* state,
                     AttentionActivations<T>& activations, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const int64_t row = position / shape.columns;
  const int64_t column = position % shape.columns;
  const auto keep = [&](Matrix<const T> from, Matrix<T> to, int64_t at) {
    std::copy_n(from.data, shape.dim, to.row(at));
  };
  keep(input.input, layer.input, column);
  keep(input.query, layer.query, column);
  keep(input.key, layer.key, column);
  keep(input.value, layer.value, column);
  if (layer.all_key.data) {
    keep(input.key, layer.all_key, position);
    keep(input.value, layer.all_value, position);
  }
  const auto grid = [&](Matrix<const T> m) { return Grid<const T>(m, shape.columns); };
  const Band<T> band{shape,
                     row,
                     grid(layer.input),
                     grid(layer.query),
                     grid(layer.key),
                     grid(layer.value),
                     layer.keys_of(row + 1, shape),
                     layer.values_of(row + 1, shape),
                     summary,
                     worker};
  const Attended place{Grid<float>(attended, 1), Grid<float>(lse, 1)};
  for_each_part<T>(list, shape, layer, activations,
                   [&](const Part<T>& part, T* own, PartActivations<T>& act) {
                     part.attend_position(band, column, place, own, act);
                     if (column == shape.columns - 1) part.complete_row(band, own, act);
                   });
}

template <class T>
void attend_both_ways(Attention attention, const AttentionShape& shape,
                      const AttentionInput<T>& positions, AnySummaryWeights summary,
                      Matrix<float> attended, Matrix<float> lse, T* state,
                      AttentionActivations<T>& activations, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> image = band_of(shape, 0, positions, summary, layer, worker);
  const Attended grids = attended_grids(shape, attended, lse);
  for_each_part<T>(list, shape, layer, activations,
                   [&](const Part<T>& part, T* own, PartActivations<T>& act) {
                     part.attend_rows(image, grids, own, act);
                     part.attend_later(image, grids, own, act);
                   });
}

template <class T>
void attend_backward(Attention attention, const AttentionShape& shape,
                     const AttentionInput<T>& positions, const AttentionGradients<T>& gradients,
                     T* state, AttentionActivations<T>& activations,
                     AttentionBackwardScratch<T>& scratch, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> image = band_of(shape, 0, positions, {}, layer, worker);
  const auto grid = [&](auto m) { return Grid(m, shape.columns); };
  const AttendedGradient<T> gradient{
      grid(gradients.d_attended), grid(gradients.lse),   grid(gradients.delta),
      grid(gradients.d_query),    grid(gradients.d_key), grid(gradients.d_value),
      grid(gradients.d_input),    gradients.summary,     scratch};
  for_each_part<T>(list, shape, layer, activations,
                   [&](const Part<T>& part, T* own, PartActivations<T>& act) {
                     part.attend_backward(image, gradient, own, act);
                   });
}

#define COMBINER_INSTANTIATE(T)                                                                  \
  template AttentionActivations<T> attention_activations(Attention, const AttentionShape&,       \
                                                         int64_t);                               \
  template void attend_rows(Attention, const AttentionShape&, int64_t, const AttentionInput<T>&, \
                            AnySummaryWeights, Matrix<float>, Matrix<float>, T*,                 \
                            AttentionActivations<T>&, Worker&);                                  \
  template void attend_position(Attention, const AttentionShape&, int64_t,                       \
                                const AttentionInput<T>&, AnySummaryWeights, Matrix<float>,      \
                                Matrix<float>, T*, AttentionActivations<T>&, Worker&);           \
  template void attend_both_ways(Attention, const AttentionShape&, const AttentionInput<T>&,     \
                                 AnySummaryWeights, Matrix<float>, Matrix<float>, T*,            \
                                 AttentionActivations<T>&, Worker&);                             \
  template void attend_backward(Attention, const AttentionShape&, const AttentionInput<T>&,      \
                                const AttentionGradients<T>&, T*, AttentionActivations<T>&,      \
                                AttentionBackwardScratch<T>&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

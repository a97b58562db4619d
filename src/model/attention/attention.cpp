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
  Matrix<T> row;  // [C, 4D] the row being decoded: input, query, key and value of each position
  Matrix<T> all_key, all_value;  // [L, D] of all positions, where the variant keeps them
  T* of_parts;                   // one part's after another

  LayerState(Parts<T> parts, const AttentionShape& shape, T* data)
      : row(data, shape.columns, 4 * shape.dim), of_parts(row.row(row.rows)) {
    if (!keeps_positions<T>(parts)) return;
    const Matrix<T> positions(of_parts, shape.positions(), 2 * shape.dim);
    all_key = positions.column_block(0, shape.dim);
    all_value = positions.column_block(shape.dim, shape.dim);
    of_parts = positions.row(positions.rows);
  }

  void keep(int64_t first, const AttentionInput<T>& positions) const {
    if (!all_key.data) return;
    convert<T, T>(positions.key, all_key.row_block(first, positions.key.rows));
    convert<T, T>(positions.value, all_value.row_block(first, positions.value.rows));
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

// Rows whose keys and values the state keeps, if it keeps any.
template <class T>
Band<T> band_of(const AttentionShape& shape, int64_t first_row, const AttentionInput<T>& positions,
                AnySummaryWeights summary, const LayerState<T>& state, Worker& worker) {
  const auto grid = [&](Matrix<const T> m) { return Grid<const T>(m, shape.columns); };
  const auto kept = [&](Matrix<T> all) {
    const int64_t n = first_row * shape.columns + positions.query.rows;
    return all.data ? grid(all.row_block(0, n)) : Grid<const T>();
  };
  return {shape,
          first_row,
          grid(positions.input),
          grid(positions.query),
          grid(positions.key),
          grid(positions.value),
          kept(state.all_key),
          kept(state.all_value),
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
  layer.keep(first_row * shape.columns, positions);
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
  const int64_t column = position % shape.columns;
  T* place_in_row = layer.row.row(column);
  for (const Matrix<const T>& from : {input.input, input.query, input.key, input.value})
    place_in_row = std::copy_n(from.data, shape.dim, place_in_row);
  layer.keep(position, input);
  const AttentionInput<T> row(layer.row.column_block(0, shape.dim),
                              layer.row.column_block(shape.dim, 3 * shape.dim));
  const Band<T> band = band_of(shape, position / shape.columns, row, summary, layer, worker);
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
  layer.keep(0, positions);
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

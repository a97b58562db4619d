#include "model/attention/attention.h"

#include <algorithm>
#include <span>
#include <stdexcept>

#include "kernels/prefetch.h"
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
      return list_of<T, summarised_row_part<T>, summary_part<T>>();
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
KvLayout kv_layout_of(Parts<T> parts) {
  KvLayout layout = KvLayout::nothing;
  for (const Part<T>* part : parts) {
    const KvLayout wanted = part->kv_layout();
    if (wanted == KvLayout::nothing) continue;
    if (layout != KvLayout::nothing && layout != wanted)
      throw std::logic_error("parts of one variant want different layouts of the KV cache");
    layout = wanted;
  }
  return layout;
}

// The layout of a layer's state.
template <class T>
struct LayerState {
  // The row being decoded, [C, D] each.
  Matrix<T> row_input, row_query, row_key, row_value;
  // All positions, if the variant stores them.
  Grid<T> all_key, all_value;
  T* part_states;  // the states of the parts, one after another

  LayerState(Parts<T> parts, const AttentionShape& shape, T* data) : part_states(data) {
    for (Matrix<T>* row : {&row_input, &row_query, &row_key, &row_value}) {
      *row = {part_states, shape.columns, shape.dim};
      part_states = row->row(row->rows);
    }
    const KvLayout layout = kv_layout_of<T>(parts);
    if (layout == KvLayout::nothing) return;
    for (Grid<T>* all : {&all_key, &all_value}) {
      *all = layout == KvLayout::by_column
                 ? Grid<T>::by_column(part_states, shape.rows, shape.columns, shape.dim)
                 : Grid<T>({part_states, shape.positions(), shape.dim}, shape.columns);
      part_states += shape.positions() * shape.dim;
    }
  }

  static int64_t size(Parts<T> parts, const AttentionShape& shape) {
    int64_t size = 4 * shape.columns * shape.dim;
    if (kv_layout_of<T>(parts) != KvLayout::nothing) size += 2 * shape.positions() * shape.dim;
    for (const Part<T>* part : parts) size += part->state_size(shape);
    return size;
  }

  AttentionInput<T> row() const { return {row_input, row_query, row_key, row_value}; }
};

// Calls visit(part, its state, its index) for each part.
template <class T, class Visit>
void for_each_part(Parts<T> parts, const AttentionShape& shape, const LayerState<T>& state,
                   Visit&& visit) {
  T* own = state.part_states;
  for (size_t i = 0; i < parts.size(); ++i) {
    visit(*parts[i], own, i);
    own += parts[i]->state_size(shape);
  }
}

// The band of the whole rows `positions`, which start at row first_row, with the keys and values
// that the state stores, if any.
template <class T>
Band<T> band_of(const AttentionShape& shape, int64_t first_row, const AttentionInput<T>& positions,
                const SummaryWeights* summary, const LayerState<T>& state, Worker& worker) {
  const auto grid = [&](Matrix<const T> m) { return Grid<const T>(m, shape.columns); };
  const int64_t rows = first_row + positions.query.rows / shape.columns;
  const auto rows_so_far = [&](const Grid<T>& all) {
    return all.data ? Grid<const T>(all.row_block(0, rows)) : Grid<const T>();
  };
  return {shape,
          first_row,
          grid(positions.input),
          grid(positions.query),
          grid(positions.key),
          grid(positions.value),
          rows_so_far(state.all_key),
          rows_so_far(state.all_value),
          summary,
          worker};
}

// Copies the keys and values of whole rows into the state, if it stores them.
template <class T>
void store_rows(const LayerState<T>& state, const Band<T>& band) {
  if (!state.all_key.data) return;
  for (int64_t r = 0; r < band.key.rows; ++r) {
    convert<T, T>(band.key.row(r), state.all_key.row(band.first_row + r));
    convert<T, T>(band.value.row(r), state.all_value.row(band.first_row + r));
  }
}

// Calls visit(field, destination [D]) for each place where the state stores something of a
// position. `field` is the member of AttentionInput that is stored there.
template <class T, class Visit>
void for_each_slot(const LayerState<T>& state, int64_t row, int64_t column, Visit&& visit) {
  using Input = AttentionInput<T>;
  visit(&Input::input, state.row_input.row(column));
  visit(&Input::query, state.row_query.row(column));
  visit(&Input::key, state.row_key.row(column));
  visit(&Input::value, state.row_value.row(column));
  if (!state.all_key.data) return;
  visit(&Input::key, state.all_key.at(row, column));
  visit(&Input::value, state.all_value.at(row, column));
}

template <class T>
Attended<T> attended_grids(const AttentionShape& shape, Matrix<float> attended, Matrix<T> rounded,
                           Matrix<float> lse) {
  return {Grid<float>(attended, shape.columns), Grid<T>(rounded, shape.columns),
          Grid<float>(lse, shape.columns)};
}

}  // namespace

template <class T>
int64_t attention_state_size(Attention attention, const AttentionShape& shape) {
  return LayerState<T>::size(parts<T>(attention), shape);
}

int64_t attention_pairs(Attention attention, const AttentionShape& shape) {
  int64_t pairs = 0;
  for (const Part<float>* part : parts<float>(attention)) pairs += part->pairs(shape);
  return pairs;
}

bool can_be_bidirectional(Attention attention) {
  return std::ranges::all_of(parts<float>(attention),
                             [](const Part<float>* part) { return part->can_be_bidirectional(); });
}

template <class T>
PartsActivations<T> parts_activations(Attention attention, const AttentionShape& shape,
                                      int64_t rows) {
  PartsActivations<T> activations;
  for (const Part<T>* part : parts<T>(attention))
    activations.push_back(part->activations(shape, rows));
  return activations;
}

template <class T>
void attend_image(Attention attention, const AttentionShape& shape,
                  const AttentionInput<T>& positions, const SummaryWeights* summary,
                  Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                  PartsActivations<T>& activations, Worker& worker, OutputUse use) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> band = band_of(shape, 0, positions, summary, layer, worker);
  store_rows(layer, band);
  Attended<T> grids = attended_grids(shape, attended, rounded, lse);
  grids.forward_only = use == OutputUse::forward_only;
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t i) {
    grids.last = use != OutputUse::floats && i + 1 == list.size();
    part.attend_rows(band, grids, own, activations[i]);
  });
}

template <class T>
void prefetch_kv(Attention attention, const AttentionShape& shape, int64_t position,
                 HeadRange heads, T* state) {
  const LayerState<T> layer(parts<T>(attention), shape, state);
  const int64_t first = heads.first * shape.head_dim();
  const int64_t count = heads.number * shape.head_dim();
  for_each_slot(layer, position / shape.columns, position % shape.columns,
                [&](auto /*field*/, T* to) {
                  prefetch_to_write(to + first, static_cast<size_t>(count) * sizeof(T));
                });
}

template <class T>
void append_kv(Attention attention, const AttentionShape& shape, int64_t position, HeadRange heads,
               const AttentionInput<T>& input, T* state, KvSpans<T>& spans, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const int64_t row = position / shape.columns;
  const int64_t column = position % shape.columns;
  const int64_t first = heads.first * shape.head_dim();
  const int64_t count = heads.number * shape.head_dim();
  for_each_slot(layer, row, column, [&](auto field, T* to) {
    std::copy_n((input.*field).data + first, count, to + first);
  });

  spans.clear(first);
  const Band<T> band = band_of(shape, row, layer.row(), {}, layer, worker);
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t) {
    part.add_spans(band, column, own, spans);
  });
}

template <class T>
void finish_position(Attention attention, const AttentionShape& shape, int64_t position,
                     const SummaryWeights* summary, T* state, PartsActivations<T>& activations,
                     Worker& worker, NextRead next_read) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  Band<T> band = band_of(shape, position / shape.columns, layer.row(), summary, layer, worker);
  band.next_read = next_read;
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t i) {
    part.finish_position(band, position % shape.columns, own, activations[i]);
  });
}

template <class T>
void attend_bidirectional(Attention attention, const AttentionShape& shape,
                          const AttentionInput<T>& positions, const SummaryWeights* summary,
                          Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                          PartsActivations<T>& activations, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> image = band_of(shape, 0, positions, summary, layer, worker);
  store_rows(layer, image);
  const Attended<T> grids = attended_grids(shape, attended, rounded, lse);
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t i) {
    part.attend_rows(image, grids, own, activations[i]);
  });
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t i) {
    part.attend_later(image, grids, own, activations[i]);
  });
}

template <class T>
void attend_backward(Attention attention, const AttentionShape& shape,
                     const AttentionInput<T>& positions, const AttentionGradients<T>& gradients,
                     T* state, PartsActivations<T>& activations,
                     AttentionBackwardScratch<T>& scratch, Worker& worker) {
  const Parts<T> list = parts<T>(attention);
  const LayerState<T> layer(list, shape, state);
  const Band<T> image = band_of(shape, 0, positions, gradients.summary_weights, layer, worker);
  const auto grid = [&](auto m) { return Grid(m, shape.columns); };
  const AttendedGradient<T> gradient{
      grid(gradients.d_attended),
      grid(gradients.lse),
      grid(gradients.delta),
      grid(gradients.sum_query),
      grid(gradients.sum_key),
      grid(gradients.sum_value),
      {grid(gradients.d_query), grid(gradients.d_key), grid(gradients.d_value)},
      grid(gradients.d_input),
      gradients.summary,
      scratch};
  for_each_part<T>(list, shape, layer, [&](const Part<T>& part, T* own, size_t i) {
    part.attend_backward(image, gradient, own, activations[i]);
  });
  if (list.back()->rounds_gradient()) return;
  convert<float, T>(gradients.sum_query, gradients.d_query);
  convert<float, T>(gradients.sum_key, gradients.d_key);
  convert<float, T>(gradients.sum_value, gradients.d_value);
}

#define COMBINER_INSTANTIATE(T)                                                                   \
  template int64_t attention_state_size<T>(Attention, const AttentionShape&);                     \
  template PartsActivations<T> parts_activations(Attention, const AttentionShape&, int64_t);      \
  template void attend_image(Attention, const AttentionShape&, const AttentionInput<T>&,          \
                             const SummaryWeights*, Matrix<float>, Matrix<T>, Matrix<float>, T*,  \
                             PartsActivations<T>&, Worker&, OutputUse);                           \
  template void prefetch_kv(Attention, const AttentionShape&, int64_t, HeadRange, T*);            \
  template void append_kv(Attention, const AttentionShape&, int64_t, HeadRange,                   \
                          const AttentionInput<T>&, T*, KvSpans<T>&, Worker&);                    \
  template void finish_position(Attention, const AttentionShape&, int64_t, const SummaryWeights*, \
                                T*, PartsActivations<T>&, Worker&, NextRead);                     \
  template void attend_bidirectional(Attention, const AttentionShape&, const AttentionInput<T>&,  \
                                     const SummaryWeights*, Matrix<float>, Matrix<T>,             \
                                     Matrix<float>, T*, PartsActivations<T>&, Worker&);           \
  template void attend_backward(Attention, const AttentionShape&, const AttentionInput<T>&,       \
                                const AttentionGradients<T>&, T*, PartsActivations<T>&,           \
                                AttentionBackwardScratch<T>&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

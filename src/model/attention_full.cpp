#include "model/attention_full.h"

#include <algorithm>

#include "kernels/rows.h"
#include "model/attention_tile.h"

namespace combiner::full {
namespace {

// Keys to a tile: with their values and logits they stay in the second cache.
constexpr int64_t kTileKeys = 256;
constexpr int64_t kTileQueries = 64;

// The state: all positions' keys and values, side by side [L, 2D].
template <class T>
struct State {
  Matrix<T> key, value;

  State(const ModelConfig& config, T* data) {
    const Matrix<T> both(data, config.positions(), 2 * int64_t{config.embed_dim});
    key = both.column_block(0, config.embed_dim);
    value = both.column_block(config.embed_dim, config.embed_dim);
  }
};

// Calls visit(first query, queries, first key, keys, visible) for the tiles of a causal square
// whose queries are first .. first + count - 1 of the positions; tiles of the same queries in order
// of keys.
template <class Visit>
void for_each_tile(int64_t first, int64_t count, Visit&& visit) {
  for (int64_t q = first; q < first + count; q += kTileQueries) {
    const int64_t queries = std::min(kTileQueries, first + count - q);
    for (int64_t k = 0; k < q + queries; k += kTileKeys)
      visit(q, queries, k, std::min(kTileKeys, q + queries - k), Visible::causal(q - k));
  }
}

}  // namespace

int64_t state_size(const ModelConfig& config) {
  return 2 * int64_t{config.positions()} * config.embed_dim;
}

template <class T>
void attend_rows(const ModelConfig& config, int64_t first_row, int64_t rows,
                 BlockActivations<T>& act, T* state_data, Worker& worker) {
  const int64_t first = first_row * config.columns();
  const int64_t n = rows * config.columns();
  const State<T> state(config, state_data);
  const QueryKeyValue<const T> positions{act.query_key_value.view(n)};
  convert<T, T>(positions.key, state.key.row_block(first, n));
  convert<T, T>(positions.value, state.value.row_block(first, n));
  const Matrix<float> attended = act.attended.view(n);
  const Matrix<float> lse = act.lse.view(n);
  const Matrix<const T> key = state.key;
  const Matrix<const T> value = state.value;
  for (int h = 0; h < config.num_heads; ++h)
    for_each_tile(first, n,
                  [&](int64_t q, int64_t queries, int64_t k, int64_t keys, Visible visible) {
                    attend(head_tile(config, h, positions.query.row_block(q - first, queries),
                                     key.row_block(k, keys), value.row_block(k, keys), visible),
                           head_output(config, h, attended.row_block(q - first, queries),
                                       lse.row_block(q - first, queries)),
                           k == 0 ? Merge::replace : Merge::merge, worker.attention);
                  });
}

template <class T>
void attend_position(const ModelConfig& config, int64_t position, const T* query_key_value,
                     float* attended, T* state_data, Worker& worker) {
  const int64_t dim = config.embed_dim;
  const State<T> state(config, state_data);
  std::copy_n(query_key_value + dim, dim, state.key.row(position));
  std::copy_n(query_key_value + 2 * dim, dim, state.value.row(position));
  const Matrix<const T> query(query_key_value, 1, dim);
  const Matrix<const T> key = state.key;
  const Matrix<const T> value = state.value;
  for (int h = 0; h < config.num_heads; ++h) {
    float lse;
    for (int64_t k = 0; k <= position; k += kTileKeys) {
      const int64_t keys = std::min(kTileKeys, position + 1 - k);
      attend(head_tile(config, h, query, key.row_block(k, keys), value.row_block(k, keys),
                       Visible::all()),
             AttentionOutput{attended + int64_t{h} * config.head_dim(), 0, &lse, 0},
             k == 0 ? Merge::replace : Merge::merge, worker.attention);
    }
  }
}

template <class T>
void attend_backward(const ModelConfig& config, BlockActivations<T>& act,
                     Matrix<const float> d_attended, Matrix<const float> delta,
                     Matrix<float> d_query_key_value, Worker& worker) {
  const QueryKeyValue<const T> positions{act.query_key_value.view()};
  const QueryKeyValue<float> d_positions{d_query_key_value};
  const Matrix<const float> lse = act.lse.view();
  for (int h = 0; h < config.num_heads; ++h)
    for_each_tile(0, config.positions(),
                  [&](int64_t q, int64_t queries, int64_t k, int64_t keys, Visible visible) {
                    const auto of_queries = [&](auto matrix) {
                      return matrix.row_block(q, queries);
                    };
                    const auto of_keys = [&](auto matrix) { return matrix.row_block(k, keys); };
                    combiner::attend_backward(
                        head_tile(config, h, of_queries(positions.query), of_keys(positions.key),
                                  of_keys(positions.value), visible),
                        head_output_gradient(config, h, of_queries(d_attended), of_queries(lse),
                                             of_queries(delta)),
                        head_gradient(config, h, of_queries(d_positions.query),
                                      of_keys(d_positions.key), of_keys(d_positions.value)),
                        worker.attention);
                  });
}

#define COMBINER_INSTANTIATE(T)                                                                \
  template void attend_rows(const ModelConfig&, int64_t, int64_t, BlockActivations<T>&, T*,    \
                            Worker&);                                                          \
  template void attend_position(const ModelConfig&, int64_t, const T*, float*, T*, Worker&);   \
  template void attend_backward(const ModelConfig&, BlockActivations<T>&, Matrix<const float>, \
                                Matrix<const float>, Matrix<float>, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner::full

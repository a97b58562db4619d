#include "model/attention.h"

#include "model/attention_full.h"
#include "model/attention_rowmajor.h"

namespace combiner {

int64_t attention_state_size(Attention attention, const ModelConfig& config) {
  switch (attention) {
    case Attention::full:
      return full::state_size(config);
    case Attention::axial_rowmajor:
      break;
  }
  return rowmajor::state_size(config);
}

template <class T>
void attend_rows(const ModelConfig& config, const BlockWeights<PackedWeights>& weights,
                 int64_t first_row, int64_t rows, BlockActivations<T>& act, T* state,
                 Worker& worker) {
  switch (weights.attention) {
    case Attention::axial_rowmajor:
      return rowmajor::attend_rows(config, weights, first_row, rows, act, state, worker);
    case Attention::full:
      return full::attend_rows(config, first_row, rows, act, state, worker);
  }
}

template <class T>
void attend_position(const ModelConfig& config, const BlockWeights<PanelWeights>& weights,
                     int64_t position, const T* norm1, const T* query_key_value, float* attended,
                     T* state, SummaryActivations<T>& summary, Worker& worker) {
  switch (weights.attention) {
    case Attention::axial_rowmajor:
      return rowmajor::attend_position(config, weights, position, norm1, query_key_value, attended,
                                       state, summary, worker);
    case Attention::full:
      return full::attend_position(config, position, query_key_value, attended, state, worker);
  }
}

template <class T>
void attend_backward(const ModelConfig& config, Attention attention,
                     const BlockParameters& parameters, const T* values, const float* norms,
                     BlockActivations<T>& act, const T* state, Matrix<const float> d_attended,
                     Matrix<const float> delta, Matrix<float> d_query_key_value,
                     Matrix<float> d_norm1, float* gradient, AttentionBackwardScratch<T>& scratch,
                     Worker& worker) {
  switch (attention) {
    case Attention::axial_rowmajor:
      return rowmajor::attend_backward(config, parameters, values, norms, act, state, d_attended,
                                       delta, d_query_key_value, d_norm1, gradient, scratch,
                                       worker);
    case Attention::full:
      return full::attend_backward(config, act, d_attended, delta, d_query_key_value, worker);
  }
}

#define COMBINER_INSTANTIATE(T)                                                                    \
  template void attend_rows(const ModelConfig&, const BlockWeights<PackedWeights>&, int64_t,       \
                            int64_t, BlockActivations<T>&, T*, Worker&);                           \
  template void attend_position(const ModelConfig&, const BlockWeights<PanelWeights>&, int64_t,    \
                                const T*, const T*, float*, T*, SummaryActivations<T>&, Worker&);  \
  template void attend_backward(const ModelConfig&, Attention, const BlockParameters&, const T*,   \
                                const float*, BlockActivations<T>&, const T*, Matrix<const float>, \
                                Matrix<const float>, Matrix<float>, Matrix<float>, float*,         \
                                AttentionBackwardScratch<T>&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

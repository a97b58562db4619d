#include "model/attention_layer.h"

#include <fmt/format.h>

#include "error.h"
#include "kernels/rows.h"
#include "model/config.h"

namespace combiner {
namespace {

void check_shape(const AttentionShape& shape) {
  if (shape.rows < 1 || shape.columns < 1 || shape.heads < 1 || shape.dim < 1)
    throw Error(fmt::format(
        "attention over {} x {} positions with {} features in {} heads: expected at least one each",
        shape.rows, shape.columns, shape.dim, shape.heads));
  if (shape.dim % shape.heads != 0)
    throw Error(
        fmt::format("attention with {} features in {} heads: expected a multiple of the heads",
                    shape.dim, shape.heads));
}

template <class T>
void check_matrix(const char* what, Matrix<T> m, int64_t rows, int64_t columns) {
  if (!m.data || m.rows != rows || m.columns != columns)
    throw Error(fmt::format("attention's {} is [{}, {}], expected [{}, {}]", what, m.rows,
                            m.columns, rows, columns));
}

}  // namespace

AttentionLayer::AttentionLayer(Attention attention, const AttentionShape& shape,
                               Direction direction, const SummaryTensors& summary)
    : attention_(attention), shape_(shape), direction_(direction) {
  check_shape(shape);
  if (direction == Direction::bidirectional && !can_be_bidirectional(attention))
    throw Error(fmt::format("attention {} only looks at what is before", name(attention)));
  if (has_summaries(attention)) {
    check_matrix("summary output weight", summary.output, shape.dim, shape.dim);
    check_matrix("summary key weight", summary.key, shape.dim, shape.dim);
    if (!summary.norm_weight || !summary.norm_bias)
      throw Error("axial_rowmajor needs the weight and bias of its summaries' normalisation");
    const auto dense = [](Matrix<const float> weight) {
      return DenseWeights{PackedWeights(weight, ElementType::f32),
                          PackedWeights::view(plain(weight)), nullptr};
    };
    summary_ = {
        dense(summary.output), dense(summary.key), {summary.norm_weight, summary.norm_bias}};
  } else if (summary.output.data || summary.key.data || summary.norm_weight || summary.norm_bias) {
    throw Error(
        fmt::format("attention {} has no summaries, so no weights of them", name(attention)));
  }
  state_ = Buffer<float>(static_cast<size_t>(attention_state_size<float>(attention, shape)));
  activations_ = parts_activations<float>(attention, shape, shape.rows);
  attended_ = OwnedMatrix<float>(shape.positions(), shape.dim);
  lse_ = OwnedMatrix<float>(shape.positions(), shape.heads);
}

void AttentionLayer::check(const AttentionTensors& tensors) const {
  check_matrix("query", tensors.query, shape_.positions(), shape_.dim);
  check_matrix("key", tensors.key, shape_.positions(), shape_.dim);
  check_matrix("value", tensors.value, shape_.positions(), shape_.dim);
  if (has_summaries(attention_))
    check_matrix("input", tensors.input, shape_.positions(), shape_.dim);
}

void AttentionLayer::forward(const AttentionTensors& tensors, Matrix<float> out) {
  check(tensors);
  check_matrix("output", out, shape_.positions(), shape_.dim);
  const AttentionInput<float> positions(tensors.input, tensors.query, tensors.key, tensors.value);
  if (direction_ == Direction::causal)
    attend_image<float>(attention_, shape_, positions, &summary_, attended_.view(), out,
                        lse_.view(), state_.data(), activations_, worker_, AttendedUse::floats);
  else
    attend_bidirectional<float>(attention_, shape_, positions, &summary_, attended_.view(), out,
                                lse_.view(), state_.data(), activations_, worker_);
}

void AttentionLayer::backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                              const AttentionTensorGradients& gradients) {
  const int64_t n = shape_.positions();
  if (direction_ != Direction::causal)
    throw Error("attention that looks both ways has no backward pass");
  check(tensors);
  check_matrix("output gradient", d_out, n, shape_.dim);
  check_matrix("query gradient", gradients.query, n, shape_.dim);
  check_matrix("key gradient", gradients.key, n, shape_.dim);
  check_matrix("value gradient", gradients.value, n, shape_.dim);
  if (has_summaries(attention_)) {
    const SummaryTensorGradients& summary = gradients.summary;
    check_matrix("input gradient", gradients.input, n, shape_.dim);
    check_matrix("summary output gradient", summary.output, shape_.dim, shape_.dim);
    check_matrix("summary key gradient", summary.key, shape_.dim, shape_.dim);
    if (!summary.norm_weight || !summary.norm_bias)
      throw Error("axial_rowmajor's backward pass needs places for its normalisation's gradients");
  }
  if (delta_.view().rows == 0) {
    delta_ = OwnedMatrix<float>(n, shape_.heads);
    scratch_ = AttentionBackwardScratch<float>(shape_);
  }
  head_products<float>(d_out, attended_.view(), shape_.head_dim(), delta_.view());
  const AttentionGradients<float> attention_gradients{
      d_out,
      lse_.view(),
      delta_.view(),
      gradients.query,
      gradients.key,
      gradients.value,
      gradients.input,
      &summary_,
      {gradients.summary.output, gradients.summary.key, gradients.summary.norm_weight,
       gradients.summary.norm_bias},
      gradients.query,
      gradients.key,
      gradients.value};
  attend_backward<float>(attention_, shape_,
                         {tensors.input, tensors.query, tensors.key, tensors.value},
                         attention_gradients, state_.data(), activations_, scratch_, worker_);
}

}  // namespace combiner

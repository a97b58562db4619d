#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "combiner/attention.h"
#include "combiner/config.h"
#include "combiner/error.h"
#include "kernels/rows.h"
#include "model/attention/attention.h"

namespace combiner {
namespace {

void check_shape(const AttentionShape& shape) {
  if (shape.rows < 1 || shape.columns < 1 || shape.heads < 1 || shape.dim < 1)
    throw Error(fmt::format(
        "attention over {} x {} positions with {} features in {} heads: expected at least one each",
        shape.rows, shape.columns, shape.dim, shape.heads));
  // Far more than any memory holds, so that no size that is computed from these overflows.
  constexpr int64_t kMostValues = int64_t{1} << 48;
  if (shape.rows > kMostValues / shape.columns || shape.positions() > kMostValues / shape.dim)
    throw Error(
        fmt::format("attention over {} x {} positions with {} features: expected at most {} values",
                    shape.rows, shape.columns, shape.dim, kMostValues));
  if (!(std::isfinite(shape.norm_epsilon) && shape.norm_epsilon > 0))
    throw Error(fmt::format("attention with a norm_epsilon of {}: expected a finite number above 0",
                            shape.norm_epsilon));
  if (shape.summaries != KeptSummaries::as_made || shape.rotary_base)
    throw Error(
        "attention on its own keeps summaries as they are made and has no rotary positions: rotate "
        "queries and keys yourself");
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

struct AttentionLayer::State {
  State(Attention attention, const AttentionShape& shape, Direction direction,
        const SummaryTensors& summary);

  void check(const AttentionTensors& tensors) const;
  void forward(const AttentionTensors& tensors, Matrix<float> out);
  void backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                const AttentionTensorGradients& gradients);

  Attention attention;
  AttentionShape shape;
  Direction direction;
  SummaryWeights summary;
  bool forward_done = false;
  Buffer<float> state;
  PartsActivations<float> activations;
  OwnedMatrix<float> attended, lse;
  // For the backward pass only; allocated by the first one.
  OwnedMatrix<float> delta;
  AttentionBackwardScratch<float> scratch;
  Worker worker;
};

AttentionLayer::State::State(Attention attention_, const AttentionShape& shape_,
                             Direction direction_, const SummaryTensors& tensors)
    : attention(attention_), shape(shape_), direction(direction_) {
  check_shape(shape);
  if (direction == Direction::bidirectional && !can_be_bidirectional(attention))
    throw Error(fmt::format("attention {} only looks at what is before", name(attention)));
  if (has_summaries(attention)) {
    check_matrix("summary output weight", tensors.output, shape.dim, shape.dim);
    check_matrix("summary key weight", tensors.key, shape.dim, shape.dim);
    if (!tensors.norm_weight || !tensors.norm_bias)
      throw Error("axial_rowmajor needs the weight and bias of its summaries' normalisation");
    const auto dense = [](Matrix<const float> weight) {
      return DenseWeights{PackedWeights::view(transposed(weight)),
                          PackedWeights::view(plain(weight)), nullptr};
    };
    summary = {dense(tensors.output), dense(tensors.key), {tensors.norm_weight, tensors.norm_bias}};
  } else if (tensors.output.data || tensors.key.data || tensors.norm_weight || tensors.norm_bias) {
    throw Error(
        fmt::format("attention {} has no summaries, so no weights of them", name(attention)));
  }
  state = Buffer<float>(static_cast<size_t>(attention_state_size<float>(attention, shape)));
  activations = parts_activations<float>(attention, shape, shape.rows);
  attended = OwnedMatrix<float>(shape.positions(), shape.dim);
  lse = OwnedMatrix<float>(shape.positions(), shape.heads);
}

void AttentionLayer::State::check(const AttentionTensors& tensors) const {
  check_matrix("query", tensors.query, shape.positions(), shape.dim);
  check_matrix("key", tensors.key, shape.positions(), shape.dim);
  check_matrix("value", tensors.value, shape.positions(), shape.dim);
  if (has_summaries(attention)) check_matrix("input", tensors.input, shape.positions(), shape.dim);
}

void AttentionLayer::State::forward(const AttentionTensors& tensors, Matrix<float> out) {
  check(tensors);
  check_matrix("output", out, shape.positions(), shape.dim);
  const AttentionInput<float> positions(tensors.input, tensors.query, tensors.key, tensors.value);
  if (direction == Direction::causal)
    attend_image<float>(attention, shape, positions, &summary, attended.view(), out, lse.view(),
                        state.data(), activations, worker, OutputUse::floats);
  else
    attend_bidirectional<float>(attention, shape, positions, &summary, attended.view(), out,
                                lse.view(), state.data(), activations, worker);
  forward_done = true;
}

void AttentionLayer::State::backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                                     const AttentionTensorGradients& gradients) {
  const int64_t n = shape.positions();
  if (direction != Direction::causal)
    throw Error("attention that looks both ways has no backward pass");
  if (!forward_done) throw std::logic_error("AttentionLayer::backward: there was no forward pass");
  check(tensors);
  check_matrix("output gradient", d_out, n, shape.dim);
  check_matrix("query gradient", gradients.query, n, shape.dim);
  check_matrix("key gradient", gradients.key, n, shape.dim);
  check_matrix("value gradient", gradients.value, n, shape.dim);
  if (has_summaries(attention)) {
    const SummaryTensorGradients& d = gradients.summary;
    check_matrix("input gradient", gradients.input, n, shape.dim);
    check_matrix("summary output gradient", d.output, shape.dim, shape.dim);
    check_matrix("summary key gradient", d.key, shape.dim, shape.dim);
    if (!d.norm_weight || !d.norm_bias)
      throw Error("axial_rowmajor's backward pass needs places for its normalisation's gradients");
  }
  if (delta.view().rows == 0) {
    delta = OwnedMatrix<float>(n, shape.heads);
    scratch = AttentionBackwardScratch<float>(shape);
  }
  head_products<float>(d_out, attended.view(), shape.head_dim(), delta.view());
  const AttentionGradients<float> attention_gradients{
      d_out,
      lse.view(),
      delta.view(),
      gradients.query,
      gradients.key,
      gradients.value,
      gradients.input,
      &summary,
      {gradients.summary.output, gradients.summary.key, gradients.summary.norm_weight,
       gradients.summary.norm_bias},
      gradients.query,
      gradients.key,
      gradients.value};
  attend_backward<float>(attention, shape,
                         {tensors.input, tensors.query, tensors.key, tensors.value},
                         attention_gradients, state.data(), activations, scratch, worker);
}

AttentionLayer::AttentionLayer(Attention attention, const AttentionShape& shape,
                               Direction direction, const SummaryTensors& summary)
    : state_(std::make_unique<State>(attention, shape, direction, summary)) {}
AttentionLayer::~AttentionLayer() = default;
AttentionLayer::AttentionLayer(AttentionLayer&&) noexcept = default;
AttentionLayer& AttentionLayer::operator=(AttentionLayer&&) noexcept = default;

void AttentionLayer::forward(const AttentionTensors& tensors, Matrix<float> out) {
  state_->forward(tensors, out);
}

void AttentionLayer::backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                              const AttentionTensorGradients& gradients) {
  state_->backward(tensors, d_out, gradients);
}

}  // namespace combiner

#include "training/gradient.h"

#include <algorithm>
#include <utility>

#include "base/for_each_band.h"
#include "kernels/cross_entropy.h"

namespace combiner {
namespace {

// The number of positions whose logits and logit gradients are held at once.
constexpr int64_t kHeadPositions = 256;

// Clears the gradients that are added to: all but those of the blocks' matrices. The latter, most
// of a model's parameters, are overwritten by their products.
void clear_sums(const ParameterLayout& layout, float* gradient) {
  for (const Parameter& parameter : layout.list)
    if (parameter.kind != ParameterKind::matrix)
      std::fill_n(gradient + parameter.offset, parameter.size, 0.0f);
}

}  // namespace

template <class T>
GradientPass<T>::GradientPass(const Weights& weights, const ModelWeights& packed, Cancel cancel)
    : config_(weights.config),
      parameters_(weights.parameters),
      weights_(packed),
      pass_(config_, packed, Pass::forward_backward, std::move(cancel)),
      head_(config_, kHeadPositions, Pass::forward_backward),
      residual_(config_.positions(), config_.embed_dim),
      block_scratch_(config_),
      head_scratch_(config_, kHeadPositions),
      targets_(kHeadPositions),
      nats_(kHeadPositions) {}

template <class T>
double GradientPass<T>::run(const uint8_t* pixels, float scale, float* gradient, bool accumulate,
                            const std::function<void(size_t)>& done_from) {
  if (!accumulate) clear_sums(parameters_, gradient);
  const GradientBuffer to{gradient, accumulate};
  Worker& worker = pass_.worker();

  pass_.forward(pixels);
  const double nats = head_and_loss(pixels, scale, to);
  const auto report = [&](size_t offset) {
    if (done_from) done_from(offset);
  };
  report(parameters_.head.first);
  for (size_t layer = weights_.blocks.size(); layer-- > 0;) {
    block_backward(parameters_.blocks[layer], weights_.blocks[layer], pass_.x(layer),
                   pass_.middle(layer), pass_.block(layer), pass_.state(layer), pass_.parts(layer),
                   residual_, block_scratch_, to, worker);
    report(parameters_.blocks[layer].first);
  }
  embedding_backward(config_, parameters_.embedding, pixels, pass_.embedding(), residual_, to,
                     worker);
  report(0);
  return nats;
}

template <class T>
double GradientPass<T>::head_and_loss(const uint8_t* pixels, float scale,
                                      const GradientBuffer& gradient) {
  Worker& worker = pass_.worker();
  const HeadWeights& weights = weights_.head;
  const Matrix<float> x = pass_.x(weights_.blocks.size());
  const int step = predictions(config_);
  double total = 0;
  clear(residual_.x.view());
  for_each_band(x.rows, kHeadPositions, [&](int64_t first, int64_t n) {
    const uint8_t* values = pixels + first * step;
    head_begin(config_, weights, Matrix<const float>(x.row_block(first, n)), head_, worker);
    head_backward_begin(n, head_scratch_);
    for (int prediction = 0; prediction < step; ++prediction) {
      for (int64_t i = 0; i < n; ++i) {
        if (prediction > 0)
          head_reveal(weights, prediction - 1, i, values[i * step + prediction - 1], head_);
        targets_[static_cast<size_t>(i)] = values[i * step + prediction];
      }
      head_logits(weights, prediction, n, head_, worker);
      cross_entropy_gradient<T>(head_.logits.view(n), targets_.data(), scale, nats_.data(),
                                head_scratch_.d_logits.view(n));
      for (int64_t i = 0; i < n; ++i) total += nats_[static_cast<size_t>(i)];
      head_logits_backward(parameters_.head, weights, prediction, n, values, head_, head_scratch_,
                           gradient, worker);
    }
    head_backward_end(parameters_.head, weights, Matrix<const float>(x.row_block(first, n)),
                      residual_.x.view().row_block(first, n), head_, head_scratch_, gradient);
  });
  return total;
}

template class GradientPass<float>;
template class GradientPass<bfloat16>;

}  // namespace combiner

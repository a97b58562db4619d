#include "model/layers/head.h"

#include <fmt/format.h>

namespace combiner {

HeadParameters::HeadParameters(ParameterLayout& layout, const ModelConfig& config)
    : first(layout.size), norm(layout, "norm", config.embed_dim) {
  const int64_t dim = config.embed_dim;
  const int64_t vocab = config.vocab_size;
  if (config.tokens == Tokens::subpixel) {
    output.push_back(DenseParameters::logits(layout, "head", vocab, dim));
    return;
  }
  for (int c = 0; c < config.image.channels; ++c) {
    hidden.push_back(DenseParameters::with_bias(layout, fmt::format("head.{}.hidden", c), dim, dim,
                                                ParameterKind::other));
    output.push_back(DenseParameters::logits(layout, fmt::format("head.{}.output", c), vocab, dim));
  }
  for (int c = 0; c + 1 < config.image.channels; ++c)
    embed.push_back(layout.add(fmt::format("head.embed.{}.weight", c), {vocab, dim},
                               ParameterKind::value_table));
}

HeadWeights::HeadWeights(const HeadParameters& parameters, const PackedParameters& packed)
    : norm(packed.norm(parameters.norm)) {
  for (const DenseParameters& p : parameters.hidden) hidden.push_back(packed.dense(p));
  for (const DenseParameters& p : parameters.output) output.push_back(packed.dense(p));
  for (const size_t p : parameters.embed) embed.push_back(packed.vector(p));
}

template <class T>
void head_logits(const HeadWeights& weights, int prediction, int64_t n, HeadActivations<T>& act,
                 Worker& worker) {
  const Matrix<float> norm = act.norm.out.view(n);
  const Matrix<T> in = act.in.view(n);
  worker.share.parallel_for(norm.columns, [&](int64_t first, int64_t columns) {
    convert<float, T>(norm.column_block(first, columns), in.column_block(first, columns));
  });
  const auto p = static_cast<size_t>(prediction);
  const Matrix<float> logits = act.logits.view(n);
  if (weights.hidden.empty()) return dense(worker, in, weights.output[p], logits);
  const Matrix<T> hidden = act.hidden.view(n);
  dense_activated(worker, in, weights.hidden[p], Activation::gelu, act.activation_grad.view(n),
                  hidden);
  dense(worker, hidden, weights.output[p], logits);
}

template <class T>
void head_logits_backward(const HeadParameters& parameters, const HeadWeights& weights,
                          int prediction, int64_t n, const uint8_t* values, HeadActivations<T>& act,
                          HeadScratch<T>& scratch, const GradientBuffer& gradient, Worker& worker) {
  const auto p = static_cast<size_t>(prediction);
  const bool has_hidden = !weights.hidden.empty();
  const Matrix<T> in = act.in.view(n);
  const Matrix<T> d_logits = scratch.d_logits.view(n);
  const Matrix<float> d_in = scratch.d_in.view(n);
  dense_backward_weight(worker, d_logits, has_hidden ? act.hidden.view(n) : in,
                        parameters.output[p], gradient);
  dense_backward_bias(d_logits, parameters.output[p], gradient);
  if (has_hidden) {
    const Matrix<T> d_hidden = scratch.d_hidden.view(n);
    dense_backward_input(worker, d_logits, weights.output[p], d_hidden);
    multiply_elements<T>(act.activation_grad.view(n), d_hidden);
    dense_backward_weight(worker, d_hidden, in, parameters.hidden[p], gradient);
    dense_backward_bias(d_hidden, parameters.hidden[p], gradient);
    dense_backward_input(worker, d_hidden, weights.hidden[p], d_in);
  } else {
    dense_backward_input(worker, d_logits, weights.output[p], d_in);
  }
  // The prediction's input included the embeddings of all earlier values.
  const auto dim = static_cast<size_t>(d_in.columns);
  const size_t predictions = parameters.output.size();
  for (size_t before = 0; before < p; ++before)
    for (int64_t i = 0; i < n; ++i)
      add_row({d_in.row(i), dim}, gradient.values + parameters.embed[before] +
                                      values[static_cast<size_t>(i) * predictions + before] * dim);
  add_row({d_in.data, static_cast<size_t>(n) * dim}, scratch.d_norm.view().data);
}

#define COMBINER_INSTANTIATE(T)                                                               \
  template void head_logits(const HeadWeights&, int, int64_t, HeadActivations<T>&, Worker&);  \
  template void head_logits_backward(const HeadParameters&, const HeadWeights&, int, int64_t, \
                                     const uint8_t*, HeadActivations<T>&, HeadScratch<T>&,    \
                                     const GradientBuffer&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

#include "training/gradient.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cross_entropy.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/block.h"
#include "model/embedding.h"

namespace combiner {
namespace {

// Positions whose logits and their gradients are held at once.
constexpr int64_t kHeadPositions = 256;

// Positions whose part of a weight's gradient is added at once: few enough that what the backward
// pass made of them is still in the second cache, many enough that gradients are read and written
// seldom.
constexpr int64_t kPositionsOfSum = 512;

// A gradient as the products read it: itself, or rounded into `scratch`.
template <class T>
Matrix<const T> product_input(Matrix<float> gradient, Matrix<T> scratch) {
  if constexpr (std::is_same_v<T, float>) {
    return gradient;
  } else {
    convert<float, T>(gradient, scratch);
    return scratch;
  }
}

}  // namespace

template <class T>
GradientPass<T>::GradientPass(const Weights& weights, const ProductWeights& product_weights)
    : config_(weights.config),
      parameters_(weights.parameters),
      values_(weights.values.data()),
      product_weights_(product_weights),
      weights_(product_weights.forward()),
      sinusoids_(sinusoidal_positions(config_)),
      stem_in_(config_.positions(), stem_inputs(config_)),
      attended_(config_.positions(), config_.embed_dim),
      d_x_(config_.positions(), config_.embed_dim),
      d_norm_(config_.positions(), config_.embed_dim),
      d_attended_(config_.positions(), config_.embed_dim),
      delta_(config_.positions(), config_.num_heads),
      sum_query_key_value_(config_.positions(), 3 * int64_t{config_.embed_dim}),
      d_x_in_(config_.positions(), config_.embed_dim),
      d_query_key_value_(config_.positions(), 3 * int64_t{config_.embed_dim}),
      d_up_(std::min<int64_t>(config_.positions(), kPositionsOfSum), config_.mlp_dim),
      attention_scratch_(config_.attention_shape()),
      head_(config_, kHeadPositions, Pass::both_ways),
      d_logits_(kHeadPositions, config_.vocab_size),
      d_hidden_(kHeadPositions, config_.embed_dim),
      d_head_in_(kHeadPositions, config_.embed_dim),
      d_head_norm_(kHeadPositions, config_.embed_dim),
      targets_(kHeadPositions),
      nats_(kHeadPositions) {
  x_.emplace_back(config_.positions(), config_.embed_dim);
  for (const Attention attention : config_.attention) {
    middle_.emplace_back(config_.positions(), config_.embed_dim);
    x_.emplace_back(config_.positions(), config_.embed_dim);
    blocks_.emplace_back(config_, config_.positions(), Pass::both_ways);
    const AttentionShape shape = config_.attention_shape();
    attentions_.push_back(attention_activations<T>(attention, shape, shape.rows));
    states_.emplace_back(static_cast<size_t>(attention_state_size<T>(attention, shape)));
  }
}

template <class T>
double GradientPass<T>::run(const uint8_t* pixels, float scale, float* gradient, bool accumulate) {
  prepare(gradient, accumulate);
  forward(pixels);
  const double nats = head(pixels, scale, gradient);
  for (size_t layer = blocks_.size(); layer-- > 0;) block_backward(layer, gradient);
  embedding_backward(pixels, gradient);
  return nats;
}

// Blocks' weights, most of a model's parameters, are replaced by their products; all else is
// cleared to be added to.
template <class T>
void GradientPass<T>::prepare(float* gradient, bool accumulate) {
  accumulate_ = accumulate;
  if (accumulate) return;
  for (const Parameter& parameter : parameters_.list)
    if (parameter.kind != ParameterKind::matrix)
      std::fill_n(gradient + parameter.offset, parameter.size, 0.0f);
}

template <class T>
void GradientPass<T>::forward(const uint8_t* pixels) {
  const Matrix<float> x = x_[0].view();
  for (int64_t p = 0; p < x.rows; ++p)
    embed_position(config_, weights_.embed, sinusoids_, pixels, p, x.row(p),
                   stem_in_.view().row(p));
  if (config_.stem) dense(worker_, stem_in_.view(), weights_.embed.stem, x, {.accumulate = true});
  for (size_t layer = 0; layer < blocks_.size(); ++layer)
    block_forward(config_, weights_.blocks[layer], Matrix<const float>(x_[layer].view()),
                  middle_[layer].view(), x_[layer + 1].view(), blocks_[layer], worker_, [&] {
                    BlockActivations<T>& act = blocks_[layer];
                    attend_rows<T>(config_.attention[layer], config_.attention_shape(), 0,
                                   {act.norm1.view(), act.query_key_value.view()},
                                   &weights_.blocks[layer].summary, attended_.view(),
                                   act.attended_in.view(), act.lse.view(), states_[layer].data(),
                                   attentions_[layer], worker_, AttendedUse::backward);
                  });
}

// The head forward and backward, leaving the gradient of its input in d_x_.
template <class T>
double GradientPass<T>::head(const uint8_t* pixels, float scale, float* gradient) {
  double total = 0;
  clear(d_x_.view());
  const Matrix<float> x = x_.back().view();
  for_each_band(x.rows, kHeadPositions, [&](int64_t first, int64_t n) {
    head_norm(config_, weights_, Matrix<const float>(x.row_block(first, n)), head_, worker_);
    clear(d_head_norm_.view(n));
    for (int channel = 0; channel < predictions(config_); ++channel)
      total += head_channel_gradient(pixels, first, n, channel, scale, gradient);
    layer_norm_backward(x.row_block(first, n), head_.moments.data(),
                        values_ + parameters_.norm.weight, d_head_norm_.view(n),
                        d_x_.view().row_block(first, n), gradient + parameters_.norm.weight,
                        gradient + parameters_.norm.bias);
  });
  return total;
}

template <class T>
double GradientPass<T>::head_channel_gradient(const uint8_t* pixels, int64_t first, int64_t n,
                                              int channel, float scale, float* gradient) {
  const int step = predictions(config_);
  const auto value = [&](int64_t i, int c) { return pixels[(first + i) * step + c]; };
  if (channel > 0)
    for (int64_t i = 0; i < n; ++i)
      head_reveal(weights_.head, channel - 1, i, value(i, channel - 1), head_);
  head_channel(weights_.head, config_, channel, n, head_, worker_);

  for (int64_t i = 0; i < n; ++i) targets_[static_cast<size_t>(i)] = value(i, channel);
  const Matrix<T> d_logits = d_logits_.view(n);
  cross_entropy_gradient<T>(head_.logits.view(n), targets_.data(), scale, nats_.data(), d_logits);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += nats_[static_cast<size_t>(i)];

  const int64_t dim = config_.embed_dim;
  const int64_t vocab = config_.vocab_size;
  const HeadParameters& p = parameters_.head;
  const Matrix<float> d_in = d_head_in_.view(n);
  const auto c = static_cast<size_t>(channel);
  if (config_.tokens == Tokens::subpixel) {
    worker_.multiplier.multiply(transposed(d_logits), plain(head_.in.view(n)),
                                Matrix<float>(gradient + p.subpixel.weight, vocab, dim), true);
    add_column_sums<T>(d_logits, gradient + p.subpixel.bias);
    worker_.multiplier.multiply(plain(d_logits), product_weights_.backward(p.subpixel.weight),
                                d_in);
  } else {
    worker_.multiplier.multiply(transposed(d_logits), plain(head_.activated.view(n)),
                                Matrix<float>(gradient + p.output[c].weight, vocab, dim), true);
    add_column_sums<T>(d_logits, gradient + p.output[c].bias);
    const Matrix<T> d_hidden = d_hidden_.view(n);
    worker_.multiplier.multiply(plain(d_logits), product_weights_.backward(p.output[c].weight),
                                d_hidden);
    multiply_elements<T>(head_.slope.view(n), d_hidden);
    worker_.multiplier.multiply(transposed(d_hidden), plain(head_.in.view(n)),
                                Matrix<float>(gradient + p.hidden[c].weight, dim, dim), true);
    add_column_sums<T>(d_hidden, gradient + p.hidden[c].bias);
    worker_.multiplier.multiply(plain(d_hidden), product_weights_.backward(p.hidden[c].weight),
                                d_in);
    // The channel saw the embeddings of all channels before it.
    for (size_t before = 0; before < c; ++before)
      for (int64_t i = 0; i < n; ++i)
        add_row({d_in.row(i), static_cast<size_t>(dim)},
                gradient + p.embed[before] +
                    static_cast<size_t>(value(i, static_cast<int>(before)) * dim));
  }
  add_row({d_in.data, static_cast<size_t>(n * dim)}, d_head_norm_.view().data);
  return total;
}

template <class T>
void GradientPass<T>::block_backward(size_t layer, float* gradient) {
  const int64_t positions = config_.positions();
  for_each_band(positions, kPositionsOfSum, [&](int64_t first, int64_t n) {
    mlp_backward(layer, first, n, gradient);
    attention_output_backward(layer, first, n, gradient);
  });
  attention_backward(layer, gradient);
  for_each_band(positions, kPositionsOfSum, [&](int64_t first, int64_t n) {
    attention_input_backward(layer, first, n, gradient);
  });
}

// x + MLP(LayerNorm(x)) of n positions, d_x_ holding the gradient of the sum and then of x.
template <class T>
void GradientPass<T>::mlp_backward(size_t layer, int64_t first, int64_t n, float* gradient) {
  const int64_t dim = config_.embed_dim;
  const int64_t mlp = config_.mlp_dim;
  const BlockParameters& p = parameters_.blocks[layer];
  BlockActivations<T>& act = blocks_[layer];
  Multiplier& multiplier = worker_.multiplier;
  const Matrix<float> d_x = d_x_.view().row_block(first, n);
  const Matrix<float> x = middle_[layer].view().row_block(first, n);
  const Matrix<T> slope = act.slope.view().row_block(first, n);

  const Matrix<const T> d_out = product_input<T>(d_x, d_x_in_.view(n));
  multiplier.multiply(transposed(d_out), plain(act.activated.view().row_block(first, n)),
                      Matrix<float>(gradient + p.down.weight, dim, mlp), accumulate_ || first > 0);
  add_column_sums<float>(d_x, gradient + p.down.bias);
  for_each_band(n, kPositionsAtOnce, [&](int64_t at, int64_t count) {
    const auto band = [&](auto m) { return m.row_block(at, count); };
    const Matrix<T> d_up = band(d_up_.view());
    const Matrix<float> d_norm = d_norm_.view(count);
    multiplier.multiply(plain(band(d_out)), product_weights_.backward(p.down.weight), d_up);
    multiply_elements<T>(band(slope), d_up);
    add_column_sums<T>(d_up, gradient + p.up.bias);
    multiplier.multiply(plain(d_up), product_weights_.backward(p.up.weight), d_norm);
    layer_norm_backward(band(x), act.moments2.data() + first + at, values_ + p.norm2.weight, d_norm,
                        band(d_x), gradient + p.norm2.weight, gradient + p.norm2.bias);
  });
  multiplier.multiply(transposed(d_up_.view(n)), plain(act.norm2.view().row_block(first, n)),
                      Matrix<float>(gradient + p.up.weight, mlp, dim), accumulate_ || first > 0);
}

// x + Attention(LayerNorm(x)) likewise, in three: from the sum to what was attended,
template <class T>
void GradientPass<T>::attention_output_backward(size_t layer, int64_t first, int64_t n,
                                                float* gradient) {
  const int64_t dim = config_.embed_dim;
  const BlockParameters& p = parameters_.blocks[layer];
  BlockActivations<T>& act = blocks_[layer];
  const auto band = [&](auto m) { return m.row_block(first, n); };
  const Matrix<const T> d_sum = product_input<T>(band(d_x_.view()), d_x_in_.view(n));
  worker_.multiplier.multiply(transposed(d_sum), plain(band(act.attended_in.view())),
                              Matrix<float>(gradient + p.output, dim, dim),
                              accumulate_ || first > 0);
  worker_.multiplier.multiply(plain(d_sum), product_weights_.backward(p.output),
                              band(d_attended_.view()));
  head_products<T>(band(d_attended_.view()), band(act.attended_in.view()), config_.head_dim(),
                   band(delta_.view()));
}

// to queries, keys, values and what summaries see of the input,
template <class T>
void GradientPass<T>::attention_backward(size_t layer, float* gradient) {
  const int64_t dim = config_.embed_dim;
  const BlockParameters& p = parameters_.blocks[layer];
  BlockActivations<T>& act = blocks_[layer];
  const auto part = [&](auto m, int64_t i) { return m.column_block(i * dim, dim); };
  const Matrix<T> d_query_key_value = d_query_key_value_.view();
  const Matrix<float> sums = sum_query_key_value_.view();
  SummaryGradient summary;
  if (config_.attention[layer] == Attention::axial_rowmajor) {
    summary = {product_weights_.backward(p.summary_output),
               product_weights_.backward(p.summary_key),
               values_ + p.summary_norm.weight,
               Matrix<float>(gradient + p.summary_output, dim, dim),
               Matrix<float>(gradient + p.summary_key, dim, dim),
               gradient + p.summary_norm.weight,
               gradient + p.summary_norm.bias};
    if (!accumulate_) {
      clear(summary.d_output);
      clear(summary.d_key);
    }
  }
  const AttentionGradients<T> gradients{d_attended_.view(),
                                        act.lse.view(),
                                        delta_.view(),
                                        part(d_query_key_value, 0),
                                        part(d_query_key_value, 1),
                                        part(d_query_key_value, 2),
                                        d_norm_.view(),
                                        summary,
                                        part(sums, 0),
                                        part(sums, 1),
                                        part(sums, 2)};
  attend_backward<T>(config_.attention[layer], config_.attention_shape(),
                     {act.norm1.view(), act.query_key_value.view()}, gradients,
                     states_[layer].data(), attentions_[layer], attention_scratch_, worker_);
}

// and to x.
template <class T>
void GradientPass<T>::attention_input_backward(size_t layer, int64_t first, int64_t n,
                                               float* gradient) {
  const int64_t dim = config_.embed_dim;
  const BlockParameters& p = parameters_.blocks[layer];
  BlockActivations<T>& act = blocks_[layer];
  const bool summaries = config_.attention[layer] == Attention::axial_rowmajor;
  const Matrix<T> d_packed = d_query_key_value_.view().row_block(first, n);
  worker_.multiplier.multiply(transposed(d_packed), plain(act.norm1.view().row_block(first, n)),
                              Matrix<float>(gradient + p.query, 3 * dim, dim),
                              accumulate_ || first > 0);
  for_each_band(n, kPositionsAtOnce, [&](int64_t at, int64_t count) {
    const auto band = [&](auto m) { return m.row_block(first + at, count); };
    worker_.multiplier.multiply(plain(d_packed.row_block(at, count)),
                                product_weights_.backward(p.query), band(d_norm_.view()),
                                {.accumulate = summaries});
    layer_norm_backward(band(x_[layer].view()), act.moments1.data() + first + at,
                        values_ + p.norm1.weight, band(d_norm_.view()), band(d_x_.view()),
                        gradient + p.norm1.weight, gradient + p.norm1.bias);
  });
}

template <class T>
void GradientPass<T>::embedding_backward(const uint8_t* pixels, float* gradient) {
  embed_backward(config_, parameters_.embed, pixels, d_x_.view(), gradient);
  if (!config_.stem) return;
  worker_.multiplier.multiply(
      transposed(product_input<T>(d_x_.view(), d_x_in_.view())), plain(stem_in_.view()),
      Matrix<float>(gradient + parameters_.embed.stem, config_.embed_dim, stem_inputs(config_)),
      true);
}

template class GradientPass<float>;
template class GradientPass<bfloat16>;

}  // namespace combiner

// The attention layer: x += Output(Attention(Query(h), Key(h), Value(h))), h = LayerNorm(x). What
// is attended to, and how, is the variant's (model/attention/).
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "combiner/config.h"
#include "model/attention/attention.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/packed_parameters.h"
#include "model/pass.h"
#include "model/residual.h"

namespace combiner {

// In these, L = positions, D = embed_dim, H = num_heads; T is what products read, float or
// bfloat16.

struct SummaryParameters {
  DenseParameters output;  // [D, D]
  NormParameters norm;
  DenseParameters key;  // [D, D]
};

struct AttentionParameters {
  NormParameters norm;
  // Three parameters [D, D] that follow each other: one product.
  DenseParameters query_key_value;  // [3D, D]
  DenseParameters output;           // [D, D]
  std::optional<SummaryParameters> summary;

  // `scope` is the block's.
  AttentionParameters(ParameterLayout& layout, const ModelConfig& config, Attention variant,
                      const std::string& scope);
};

struct AttentionWeights {
  Attention variant;
  AttentionShape shape;
  NormWeights norm;
  DenseWeights query_key_value, output;
  SummaryWeights summary;                // where the variant has them
  std::shared_ptr<const Rotary> rotary;  // null without rotary positions

  AttentionWeights(Attention variant, const AttentionShape& shape,
                   const AttentionParameters& parameters, const PackedParameters& packed);
};

// For up to n positions.
template <class T>
struct AttentionActivations {
  AttentionActivations(const ModelConfig& config, int64_t n)
      : positions(static_cast<size_t>(n)),
        norm(n, config.embed_dim),
        query_key_value(n, 3 * int64_t{config.embed_dim}),
        unrotated(Rotary::make_scratch<T>(attention_shape(config), std::min(n, kPositionsAtOnce),
                                          3 * int64_t{config.embed_dim})),
        lse(n, config.num_heads),
        attended(n, config.embed_dim) {
    std::iota(positions.begin(), positions.end(), 0);
  }

  // Of the rows: those of an image, in order; decoding sets them to where its images stand.
  std::vector<int64_t> positions;
  NormActivations<T> norm;
  OwnedMatrix<T> query_key_value;  // [n, 3D]
  OwnedMatrix<float> unrotated;    // of the rows at hand, before queries and keys are turned
  OwnedMatrix<float> lse;          // [n, H] of the logits of all heads and parts, merged
  OwnedMatrix<T> attended;         // [n, D] as the output product reads it

  // Inputs of the variant for some of the positions.
  AttentionInput<T> input(int64_t first, int64_t n) const {
    return {norm.out.view().row_block(first, n), query_key_value.view().row_block(first, n)};
  }
};

// What variants leave behind, for layers that are computed one after another: one for each variant
// among them. For bands of up to `rows` rows of the grid.
template <class T>
class SharedPartsActivations {
 public:
  SharedPartsActivations(const ModelConfig& config, int64_t rows) {
    for (const Attention variant : config.attention)
      if (!of_.contains(variant))
        of_[variant] = parts_activations<T>(variant, attention_shape(config), rows);
  }

  PartsActivations<T>& of(Attention variant) { return of_.at(variant); }

 private:
  std::map<Attention, PartsActivations<T>> of_;
};

// ---- Forward

// Queries, keys and values of positions from `first` on, at most kPositionsAtOnce: x is theirs,
// [n, D]. The same for many positions of an image and for one position of many images (first = 0),
// where the threads of the worker's share do it together.
template <class T>
void attention_project(const ModelConfig& config, const AttentionWeights& weights,
                       Matrix<const float> x, int64_t first, AttentionActivations<T>& act,
                       Worker& worker);

// What all positions of one image attend to, once they are projected. `out` [L, D] is scratch
// memory; `state` is the layer's.
template <class T>
void attention_attend(const AttentionWeights& weights, Matrix<float> out, T* state,
                      AttentionActivations<T>& act, PartsActivations<T>& parts, Worker& worker,
                      Pass pass);

// out = x + Output(attended) for positions from `first` on; x and out are theirs, [n, D], and may
// be one.
template <class T>
void attention_output(const AttentionWeights& weights, Matrix<const float> x, int64_t first,
                      Matrix<float> out, AttentionActivations<T>& act, Worker& worker);

// ---- Step: the next position of each of some images, in place of attention_attend

// One image's next position, and what the layer keeps of the image.
template <class T>
struct StepImage {
  int64_t position;
  T* state;
};

// One thread's.
template <class T>
struct AttentionStepScratch {
  explicit AttentionStepScratch(size_t images) : spans(images) {}

  std::vector<KvSpans<T>> spans;  // of each image that the thread attends for
  std::vector<DecodedPosition<T>> positions;
};

// Appends the images' keys and values to their states and attends to what they see. Images' heads
// are shared out among the threads of `together`; `alone` is the thread's own. `out` is as above,
// [n, D].
template <class T>
void attention_step(const AttentionWeights& weights, std::span<const StepImage<T>> images,
                    Matrix<float> out, AttentionActivations<T>& act,
                    AttentionStepScratch<T>& scratch, Worker& team_worker, Worker& own_worker);

// To be called once a position of an image is done, before the next one: makes of the state what
// the next position attends to. `parts` are for a band of one row.
template <class T>
void attention_finish_step(const AttentionWeights& weights, const StepImage<T>& image,
                           PartsActivations<T>& parts, Worker& worker, NextRead next_read) {
  finish_position<T>(weights.variant, weights.shape, image.position, &weights.summary, image.state,
                     parts, worker, next_read);
}

// ---- Backward

// Scratch memory, for a whole image.
template <class T>
struct AttentionScratch {
  explicit AttentionScratch(const ModelConfig& config)
      : d_attended(config.positions(), config.embed_dim),
        delta(config.positions(), config.num_heads),
        sums(config.positions(), 3 * int64_t{config.embed_dim}),
        d_query_key_value(config.positions(), 3 * int64_t{config.embed_dim}),
        parts(attention_shape(config)) {}

  OwnedMatrix<float> d_attended;     // [L, D]
  OwnedMatrix<float> delta;          // [L, H] d_attended . attended per head
  OwnedMatrix<float> sums;           // [L, 3D] the next before it is rounded
  OwnedMatrix<T> d_query_key_value;  // [L, 3D]
  AttentionBackwardScratch<T> parts;
};

// Backward of attention_output for positions `first` .. `first` + n - 1: from rows of d.x to
// those of d_attended and delta.
template <class T>
void attention_output_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, int64_t first, int64_t n,
                               AttentionActivations<T>& act, ResidualGradient<T>& d,
                               AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                               Worker& worker);

// Backward of attention_attend: to d_query_key_value and, where there are summaries, which see the
// layer's input, d.norm.
template <class T>
void attention_attend_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, T* state,
                               AttentionActivations<T>& act, PartsActivations<T>& parts,
                               ResidualGradient<T>& d, AttentionScratch<T>& scratch,
                               const GradientBuffer& gradient, Worker& worker);

// Backward of attention_project for positions `first` .. `first` + n - 1: adds to rows of d.x. `x`
// [L, D] is the whole image's input.
template <class T>
void attention_project_backward(const AttentionParameters& parameters,
                                const AttentionWeights& weights, Matrix<float> x, int64_t first,
                                int64_t n, AttentionActivations<T>& act, ResidualGradient<T>& d,
                                AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                                Worker& worker);

}  // namespace combiner

// The attention layer: x += Output(Attention(Query(h), Key(h), Value(h))) with h = LayerNorm(x).
// The variant determines what a position attends to, and how (model/attention/).
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

// In these, L = positions, D = embed_dim and H = num_heads; T is the operand type of matrix
// products, float or bfloat16.

struct SummaryParameters {
  DenseParameters output;  // [D, D]
  NormParameters norm;
  DenseParameters key;  // [D, D]
};

struct AttentionParameters {
  NormParameters norm;
  // Three consecutive parameters [D, D], multiplied as one matrix.
  DenseParameters query_key_value;  // [3D, D]
  DenseParameters output;           // [D, D]
  std::optional<SummaryParameters> summary;

  // `scope` is the name of the block.
  AttentionParameters(ParameterLayout& layout, const ModelConfig& config, Attention variant,
                      const std::string& scope);
};

struct AttentionWeights {
  Attention variant;
  AttentionShape shape;
  NormWeights norm;
  DenseWeights query_key_value, output;
  SummaryWeights summary;                // if the variant has summaries
  std::shared_ptr<const Rotary> rotary;  // null without rotary positions

  AttentionWeights(Attention variant, const AttentionShape& shape,
                   const AttentionParameters& parameters, const PackedParameters& packed);
};

// Activations for up to n positions.
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

  // The position of each row. For a whole image they are in order; decoding sets them to its
  // images' current positions.
  std::vector<int64_t> positions;
  NormActivations<T> norm;
  OwnedMatrix<T> query_key_value;  // [n, 3D]
  OwnedMatrix<float> unrotated;    // of the current rows, before queries and keys are rotated
  OwnedMatrix<float> lse;          // [n, H] log-sum-exp of each head's logits, over all parts
  OwnedMatrix<T> attended;         // [n, D] in T, for the output projection

  // The variant's input for n positions from `first` on.
  AttentionInput<T> input(int64_t first, int64_t n) const {
    return {norm.out.view().row_block(first, n), query_key_value.view().row_block(first, n)};
  }
};

// Activations of parts for layers that are computed one after another: those of the same variant
// share one set. For bands of up to `rows` rows of the grid.
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

// Computes the queries, keys and values of at most kPositionsAtOnce positions from `first` on, from
// their rows x [n, D]. Serves many positions of one image, and one position of many images
// (first = 0), which the threads of the worker's share compute jointly.
template <class T>
void attention_project(const ModelConfig& config, const AttentionWeights& weights,
                       Matrix<const float> x, int64_t first, AttentionActivations<T>& act,
                       Worker& worker);

// Computes the attention of all positions of one image, once they are projected. `out` [L, D] is
// scratch memory; `state` is the layer's.
template <class T>
void attention_attend(const AttentionWeights& weights, Matrix<float> out, T* state,
                      AttentionActivations<T>& act, PartsActivations<T>& parts, Worker& worker,
                      Pass pass);

// out = x + Output(attended) for the positions from `first` on. x and out [n, D] are their rows and
// may be the same matrix.
template <class T>
void attention_output(const AttentionWeights& weights, Matrix<const float> x, int64_t first,
                      Matrix<float> out, AttentionActivations<T>& act, Worker& worker);

// ---- Step: the next position of each of several images, in place of attention_attend

// One image's next position, and the layer's state for that image.
template <class T>
struct StepImage {
  int64_t position;
  T* state;
};

// Scratch memory of one thread.
template <class T>
struct AttentionStepScratch {
  explicit AttentionStepScratch(size_t images) : spans(images) {}

  std::vector<KvSpans<T>> spans;  // one per image that the thread works on
  std::vector<DecodedPosition<T>> positions;
};

// Appends the keys and values of the images' next positions to their states and computes the
// positions' attention. The threads of `team_worker` divide the heads of all images among them;
// `own_worker` is this thread's own. `out` [n, D] is scratch memory.
template <class T>
void attention_step(const AttentionWeights& weights, std::span<const StepImage<T>> images,
                    Matrix<float> out, AttentionActivations<T>& act,
                    AttentionStepScratch<T>& scratch, Worker& team_worker, Worker& own_worker);

// Updates an image's state so that the next position can attend to this one. Call it once a
// position is done, before the next one. `parts` must be for a band of one row.
template <class T>
void attention_finish_step(const AttentionWeights& weights, const StepImage<T>& image,
                           PartsActivations<T>& parts, Worker& worker, NextRead next_read) {
  finish_position<T>(weights.variant, weights.shape, image.position, &weights.summary, image.state,
                     parts, worker, next_read);
}

// ---- Backward

// Scratch memory for a whole image.
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
  OwnedMatrix<float> sums;           // [L, 3D] d_query_key_value before rounding
  OwnedMatrix<T> d_query_key_value;  // [L, 3D]
  AttentionBackwardScratch<T> parts;
};

// Backward of attention_output for positions first .. first + n - 1: from their rows of d.x to
// those of d_attended and delta.
template <class T>
void attention_output_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, int64_t first, int64_t n,
                               AttentionActivations<T>& act, ResidualGradient<T>& d,
                               AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                               Worker& worker);

// Backward of attention_attend: computes d_query_key_value and, for summaries, which read the
// layer's input, d.norm.
template <class T>
void attention_attend_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, T* state,
                               AttentionActivations<T>& act, PartsActivations<T>& parts,
                               ResidualGradient<T>& d, AttentionScratch<T>& scratch,
                               const GradientBuffer& gradient, Worker& worker);

// Backward of attention_project for positions first .. first + n - 1: adds to their rows of d.x.
// `x` [L, D] is the whole image's input.
template <class T>
void attention_project_backward(const AttentionParameters& parameters,
                                const AttentionWeights& weights, Matrix<float> x, int64_t first,
                                int64_t n, AttentionActivations<T>& act, ResidualGradient<T>& d,
                                AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                                Worker& worker);

}  // namespace combiner

// The embedding: what a position sees directly. It sums vectors from tables of earlier pixels'
// values, a masked convolution, and the position's own vector.
#pragma once

#include <cstdint>
#include <vector>

#include "combiner/config.h"
#include "combiner/matrix.h"
#include "model/layers/dense.h"
#include "model/packed_parameters.h"
#include "model/residual.h"
#include "tensor/buffer.h"
#include "tensor/owned_matrix.h"

namespace combiner {

struct EmbeddingParameters {
  size_t token = 0;              // subpixel: [max(vocab, start token + 1), D]
  std::vector<size_t> previous;  // per channel [vocab + 1, D]; empty without that context
  std::vector<size_t> above;     // the same
  DenseParameters stem;          // [D, channels + 1, rows, columns]
  size_t position = 0;           // learned: [L, D]
  size_t row = 0, column = 0;    // axial: [rows, D], [columns, D]

  EmbeddingParameters(ParameterLayout& layout, const ModelConfig& config);
};

struct EmbeddingWeights {
  const float* token = nullptr;
  std::vector<const float*> previous, above;
  DenseWeights stem;
  const float* position = nullptr;  // learned
  const float* row = nullptr;
  const float* column = nullptr;
  // Fixed position vectors [L, D]; empty unless the config asks for them. For position p,
  // sin(p w_k) then cos(p w_k), with w_k = 10000^(-k / (D / 2 - 1)), k = 0 .. D / 2 - 1 (the
  // authors' form).
  Buffer<float> sinusoids;

  EmbeddingWeights(const ModelConfig& config, const EmbeddingParameters& parameters,
                   const PackedParameters& packed);
};

// The number of inputs of the stem per position: (channels + 1) x rows x columns of its window, in
// the order of embed.stem.weight; 0 without a stem.
int64_t stem_inputs(const ModelConfig& config);

// Whether input `i` of the stem is at the current pixel or after it. Those are always zero, and so
// must their weights be.
inline bool is_unseen(const StemShape& stem, size_t i) {
  const auto rows = static_cast<size_t>(stem.rows), columns = static_cast<size_t>(stem.columns);
  return i / columns % rows == rows - 1 && i % columns >= columns / 2;
}

// Activations for up to n positions.
template <class T>
struct EmbeddingActivations {
  EmbeddingActivations(const ModelConfig& config, int64_t n) : stem_in(n, stem_inputs(config)) {}

  OwnedMatrix<T> stem_in;  // [n, stem_inputs] the window; zero at and after the current pixel
};

// A position of an image. `pixels` is [height, width, channels]; only bytes before the position are
// read.
struct ImagePosition {
  const uint8_t* pixels;
  int64_t position;
};

// Computes the sum of one position's table rows and position vector, x [D], and its row of the
// stem's input.
template <class T>
void embed_position(const ModelConfig& config, const EmbeddingWeights& weights,
                    const ImagePosition& at, float* x, T* stem_in);

// Computes x [n, D] of the n positions given by position_of(i), on all threads of the share.
template <class T, class PositionOf>
void embedding_forward(const ModelConfig& config, const EmbeddingWeights& weights,
                       PositionOf&& position_of, Matrix<float> x, EmbeddingActivations<T>& act,
                       Worker& worker) {
  worker.share.parallel_for(x.rows, [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; ++i)
      embed_position(config, weights, position_of(i), x.row(i), act.stem_in.view().row(i));
  });
  if (config.stem) dense(worker, act.stem_in.view(x.rows), weights.stem, x, {.accumulate = true});
}

// The backward pass. Adds d.x, the gradient of all positions' x, to the gradients of the tables,
// the positions and the stem.
template <class T>
void embedding_backward(const ModelConfig& config, const EmbeddingParameters& parameters,
                        const uint8_t* pixels, EmbeddingActivations<T>& act, ResidualGradient<T>& d,
                        const GradientBuffer& gradient, Worker& worker);

}  // namespace combiner

// The embedding: what a position sees of the image before it. Values in tables, a masked
// convolution, its place.
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
  std::vector<size_t> previous;  // per channel [vocab + 1, D]; none without that context
  std::vector<size_t> above;     // likewise
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
  // Fixed position vectors [L, D]: for position p, sin(p w_k) then cos(p w_k) with
  // w_k = 10000^(-k / (D / 2 - 1)), k = 0 .. D / 2 - 1 (the authors' form). Empty unless the config
  // asks for them.
  Buffer<float> sinusoids;

  EmbeddingWeights(const ModelConfig& config, const EmbeddingParameters& parameters,
                   const PackedParameters& packed);
};

// Inputs of the stem per position: (channels + 1) rows columns of its window, in the order of
// embed.stem.weight; 0 without a stem.
int64_t stem_inputs(const ModelConfig& config);

// Of up to n positions.
template <class T>
struct EmbeddingActivations {
  EmbeddingActivations(const ModelConfig& config, int64_t n) : stem_in(n, stem_inputs(config)) {}

  OwnedMatrix<T> stem_in;  // [n, stem_inputs] the window, zero at and after the current pixel
};

// A position and the image it is of. Only bytes before the position are read; `pixels` is
// [height, width, channels].
struct ImagePosition {
  const uint8_t* pixels;
  int64_t position;
};

// The image's part of one position's x [D], the sum of table rows and of the position's vector, and
// its row of the stem's input.
template <class T>
void embed_position(const ModelConfig& config, const EmbeddingWeights& weights,
                    const ImagePosition& at, float* x, T* stem_in);

// x [n, D] of n positions, those that position_of(i) gives, by all threads of the share together.
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

// The gradient of all positions' x, d.x, added to the tables', the positions' and the stem's.
template <class T>
void embedding_backward(const ModelConfig& config, const EmbeddingParameters& parameters,
                        const uint8_t* pixels, EmbeddingActivations<T>& act, ResidualGradient<T>& d,
                        const GradientBuffer& gradient, Worker& worker);

}  // namespace combiner

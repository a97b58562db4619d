// What a position sees of the image before it: values in tables, a masked convolution, its place.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/layers.h"
#include "tensor/buffer.h"
#include "tensor/matrix.h"

namespace combiner {

// Fixed position vectors [L, D]: for position p, sin(p w_k) then cos(p w_k) with
// w_k = 10000^(-k / (D / 2 - 1)), k = 0 .. D / 2 - 1 (the authors' form). Empty unless the config
// asks for them.
Buffer<float> sinusoidal_positions(const ModelConfig& config);

// Inputs of the stem per position: (channels + 1) rows columns of its window, in the order of
// embed.stem.weight; 0 without a stem.
int64_t stem_inputs(const ModelConfig& config);

// The image's part of position `position`: in x [D], the sum of table rows and of the position's
// vector; in stem_in [stem_inputs], the stem's window, zero at and after the current pixel. Reads
// only bytes before the position. `pixels` is [height, width, channels]; `positions` the
// sinusoidal ones.
template <class Dense, class T>
void embed_position(const ModelConfig& config, const EmbedWeights<Dense>& weights,
                    const Buffer<float>& positions, const uint8_t* pixels, int64_t position,
                    float* x, T* stem_in);

// `d_x` [L, D], the gradient of all positions' embeddings, added to the tables' and the positions'
// gradients; the stem's is a product, made elsewhere.
void embed_backward(const ModelConfig& config, const EmbedParameters& parameters,
                    const uint8_t* pixels, Matrix<const float> d_x, float* gradient);

}  // namespace combiner

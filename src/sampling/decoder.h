// Incremental decoding: the model's probabilities one position at a time, from what the positions
// before left behind. A position costs its row so far and a column of summaries (row-major), not
// the whole image.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/activations.h"
#include "model/config.h"
#include "model/head.h"
#include "model/layers.h"
#include "model/model.h"
#include "tensor/buffer.h"

namespace combiner {

// The dense weights in panels, rounded to the precision. Vectors and tables are bound where they
// lie in `weights`, which must outlive the result. May be shared by threads.
ModelWeights<PanelWeights> pack_panels(const Weights& weights, Precision precision);

// How far one image has been decoded. A clone goes on exactly as the original does.
template <class T>
struct DecodeState {
  explicit DecodeState(const ModelConfig& config);
  DecodeState clone() const;

  int64_t position = 0;           // the next one; set to 0, a new image begins
  Buffer<uint8_t> pixels;         // [height, width, channels], known before `position`
  std::vector<Buffer<T>> layers;  // what each layer's attention keeps

 private:
  DecodeState() = default;
};

// Decodes a batch of images. An image's numbers do not depend, to the last bit, on those beside it.
// T is float or bfloat16. `config` and `weights` must outlive it. One for each thread.
template <class T>
class Decoder {
 public:
  // Given the logits [V] of a sub-pixel of states[image], returns its value, a model's own choice
  // or one already known. Sub-pixels are counted in raster order, channels interleaved.
  using Choose =
      std::function<uint8_t(size_t image, int64_t subpixel, std::span<const float> logits)>;

  // For up to `batch` images at a time.
  Decoder(const ModelConfig& config, const ModelWeights<PanelWeights>& weights, int64_t batch);

  // Decodes each image's next position, calling `choose` for each of its sub-pixels in order. The
  // images may stand at different positions, all before the last one's end.
  void step(std::span<DecodeState<T>> states, const Choose& choose);

 private:
  const ModelConfig& config_;
  const ModelWeights<PanelWeights>& weights_;
  int64_t batch_;
  Buffer<float> sinusoids_;
  OwnedMatrix<float> x_;
  OwnedMatrix<T> stem_in_;
  BlockActivations<T> block_;
  SharedAttentionActivations<T> attention_;
  HeadActivations<T> head_;
  Worker worker_;
};

}  // namespace combiner

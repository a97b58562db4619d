// One image while it is decoded, position by position.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "tensor/buffer.h"

namespace combiner {

// How far the image has come: its pixels so far, and the model's KV cache of them.
struct ImageState {
  virtual ~ImageState() = default;
  // A copy that goes on exactly as the original does.
  virtual std::unique_ptr<ImageState> clone() const = 0;

  int64_t position = 0;    // the next one; set to 0, a new image begins
  Buffer<uint8_t> pixels;  // [height, width, channels], known before `position`
};

// Given the logits [V] of a sub-pixel of images[image], returns its value, a model's own choice or
// one already known. Sub-pixels are counted in raster order, channels interleaved.
using ChooseValue =
    std::function<uint8_t(size_t image, int64_t subpixel, std::span<const float> logits)>;

}  // namespace combiner

// One image's values to a stream of bytes and back, each with the frequencies of its logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/range_coder.h"
#include "combiner/config.h"
#include "combiner/image.h"

namespace combiner {

// Throws Error if the image has a value that the model doesn't know, and std::invalid_argument if
// it is not of the model's size.
void check_codable(const Image& image, const ModelConfig& config);

class StreamEncoder {
 public:
  // Takes the image's sub-pixels in order. Throws Error if a logit is not finite.
  void add(uint8_t value, std::span<const float> logits);
  // The stream, after all `pixels` have been added.
  std::vector<uint8_t> finish(std::span<const uint8_t> pixels);

 private:
  RangeEncoder encoder_;
};

// After the first value that the stream can't hold, all values are 0.
class StreamDecoder {
 public:
  // `stream` must outlive the decoder.
  explicit StreamDecoder(std::span<const uint8_t> stream) : decoder_(stream) {}

  // The next sub-pixel. Throws Error if a logit is not finite.
  uint8_t next(std::span<const float> logits);
  // Whether the stream ends here, with the check of these pixels. To be asked once.
  bool ends_with(std::span<const uint8_t> pixels);

 private:
  RangeDecoder decoder_;
  bool damaged_ = false;
};

}  // namespace combiner

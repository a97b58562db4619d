#include "codec/stream_coder.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "codec/crc32c.h"
#include "codec/frequencies.h"
#include "combiner/error.h"

namespace combiner {
namespace {

// A byte that ends a stream, as a value of 256 that are equally likely. Logits that differ from the
// encoder's give pixels that are well-formed but wrong; this finds them.
FrequencyRange check_of(std::span<const uint8_t> pixels) {
  constexpr uint32_t kSize = kFrequencyTotal / 256;
  return {(crc32c(pixels) & 0xFF) * kSize, kSize};
}

}  // namespace

void check_codable(const Image& image, const ModelConfig& config) {
  if (image.width != config.image.width || image.height != config.image.height)
    throw std::invalid_argument("an image to encode is not of the model's size");
  const uint8_t greatest = std::ranges::max(image.pixels);
  if (greatest >= config.vocab_size)
    throw Error(fmt::format("an image has a sub-pixel of {}; the model knows values below {}",
                            greatest, config.vocab_size));
}

void StreamEncoder::add(uint8_t value, std::span<const float> logits) {
  encoder_.encode(Frequencies(logits).of(value));
}

std::vector<uint8_t> StreamEncoder::finish(std::span<const uint8_t> pixels) {
  encoder_.encode(check_of(pixels));
  return encoder_.finish();
}

uint8_t StreamDecoder::next(std::span<const float> logits) {
  const Frequencies frequencies(logits);
  const uint64_t target = decoder_.target();
  if (damaged_ || target >= kFrequencyTotal) {
    damaged_ = true;
    return 0;
  }
  const auto [value, range] = frequencies.find(static_cast<uint32_t>(target));
  decoder_.take(range);
  return value;
}

bool StreamDecoder::ends_with(std::span<const uint8_t> pixels) {
  const FrequencyRange check = check_of(pixels);
  const uint64_t target = decoder_.target();
  if (damaged_ || target < check.begin || target - check.begin >= check.size) return false;
  decoder_.take(check);
  return decoder_.at_end();
}

}  // namespace combiner

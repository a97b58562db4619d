#include "codec/image_coder.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "codec/crc32c.h"
#include "codec/frequencies.h"
#include "codec/range_coder.h"
#include "combiner/error.h"
#include "sampling/drawing.h"

namespace combiner {
namespace {

ImageToDraw numbered(int64_t index) { return {.index = index}; }

SampleEvents sample_events(const CodingEvents& events, std::function<void(int64_t, Image)> done) {
  return {.row_done =
              [&events](int64_t, int, std::span<const uint8_t>) {
                if (events.row_done) events.row_done();
              },
          .image_done = std::move(done),
          .cancelled = events.cancelled};
}

// A byte that ends a stream, as a value of 256 that are equally likely. Logits that differ from the
// encoder's give pixels that are well-formed but wrong; this finds them.
FrequencyRange check_of(std::span<const uint8_t> pixels) {
  constexpr uint32_t kSize = kFrequencyTotal / 256;
  return {(crc32c(pixels) & 0xFF) * kSize, kSize};
}

// Decodes one stream. After the first value that it can't hold, all values are 0.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::span<const uint8_t> stream) : decoder_(stream) {}

  uint8_t next(const Frequencies& frequencies) {
    const uint64_t target = decoder_.target();
    if (damaged_ || target >= kFrequencyTotal) {
      damaged_ = true;
      return 0;
    }
    const auto [value, range] = frequencies.find(static_cast<uint32_t>(target));
    decoder_.take(range);
    return value;
  }

  // Whether the stream ends here, with the check of these pixels.
  bool ends_with(std::span<const uint8_t> pixels) {
    const FrequencyRange check = check_of(pixels);
    const uint64_t target = decoder_.target();
    if (damaged_ || target < check.begin || target - check.begin >= check.size) return false;
    decoder_.take(check);
    return decoder_.at_end();
  }

 private:
  RangeDecoder decoder_;
  bool damaged_ = false;
};

}  // namespace

ImageCoder::ImageCoder(const Model& model, const CodingOptions& options)
    : model_(model), options_(options) {}
ImageCoder::~ImageCoder() = default;

TileSize ImageCoder::image_size() const {
  const ImageShape& shape = model_.config().image;
  return {shape.width, shape.height};
}

bool ImageCoder::draw(int64_t count, const ChooseForImage& choose, const SampleEvents& events) {
  try {
    if (count != count_) {
      drawing_ = std::make_unique<Drawing>(
          model_,
          SampleOptions{.count = count, .batch = options_.batch, .threads = options_.threads},
          Cancel(events.cancelled));
      count_ = count;
    }
    return drawing_->draw(numbered, choose, events);
  } catch (const Cancelled&) {
    return false;
  }
}

std::vector<std::vector<uint8_t>> ImageCoder::encode(std::span<const Image> images,
                                                     const CodingEvents& events) {
  const ImageShape& shape = model_.config().image;
  const int values = model_.config().vocab_size;
  for (const Image& image : images) {
    if (image.width != shape.width || image.height != shape.height)
      throw std::invalid_argument("an image to encode is not of the model's size");
    const uint8_t greatest = std::ranges::max(image.pixels);
    if (greatest >= values)
      throw Error(fmt::format("an image has a sub-pixel of {}; the model knows values below {}",
                              greatest, values));
  }
  std::vector<std::vector<uint8_t>> streams(images.size());
  if (images.empty()) return streams;
  std::vector<RangeEncoder> encoders(images.size());
  const auto encode = [&](const ImageToDraw& image, int64_t subpixel,
                          std::span<const float> logits) {
    const auto index = static_cast<size_t>(image.index);
    const uint8_t value = images[index].pixels[static_cast<size_t>(subpixel)];
    encoders[index].encode(Frequencies(logits).of(value));
    return value;
  };
  const auto done = [&](int64_t index, const Image& image) {
    RangeEncoder& encoder = encoders[static_cast<size_t>(index)];
    encoder.encode(check_of(image.pixels));
    const auto& stream = streams[static_cast<size_t>(index)] = encoder.finish();
    if (events.stream_done) events.stream_done(stream.size());
  };
  if (!draw(std::ssize(images), encode, sample_events(events, done))) streams.clear();
  return streams;
}

std::vector<Image> ImageCoder::decode(std::span<const std::span<const uint8_t>> streams,
                                      const CodingEvents& events) {
  std::vector<Image> images(streams.size());
  if (streams.empty()) return images;
  std::vector<StreamDecoder> decoders(streams.begin(), streams.end());
  const auto decode = [&](const ImageToDraw& image, int64_t, std::span<const float> logits) {
    return decoders[static_cast<size_t>(image.index)].next(Frequencies(logits));
  };
  const auto done = [&](int64_t index, Image image) {
    if (decoders[static_cast<size_t>(index)].ends_with(image.pixels))
      images[static_cast<size_t>(index)] = std::move(image);
  };
  if (!draw(std::ssize(streams), decode, sample_events(events, done))) images.clear();
  return images;
}

}  // namespace combiner

#include "codec/image_coder.h"

#include <algorithm>
#include <utility>

#include "codec/stream_coder.h"
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
          .cancel = events.cancel};
}

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
      drawing_.reset();  // there is memory for one
      count_ = 0;
      drawing_ = std::make_unique<Drawing>(
          model_,
          SampleOptions{.count = count, .batch = options_.batch, .threads = options_.threads},
          events.cancel);
      count_ = count;
    }
    return drawing_->draw(numbered, choose, events);
  } catch (const Cancelled&) {
    return false;
  }
}

std::vector<std::vector<uint8_t>> ImageCoder::encode(std::span<const Image> images,
                                                     const CodingEvents& events) {
  for (const Image& image : images) check_codable(image, model_.config());
  std::vector<std::vector<uint8_t>> streams(images.size());
  if (images.empty()) return streams;
  std::vector<StreamEncoder> encoders(images.size());
  const auto encode = [&](const ImageToDraw& image, int64_t subpixel,
                          std::span<const float> logits) {
    const auto index = static_cast<size_t>(image.index);
    const uint8_t value = images[index].pixels[static_cast<size_t>(subpixel)];
    encoders[index].add(value, logits);
    return value;
  };
  const auto done = [&](int64_t index, const Image& image) {
    const auto at = static_cast<size_t>(index);
    const auto& stream = streams[at] = encoders[at].finish(image.pixels);
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
  std::vector<bool> finished(streams.size());
  const auto decode = [&](const ImageToDraw& image, int64_t, std::span<const float> logits) {
    return decoders[static_cast<size_t>(image.index)].next(logits);
  };
  const auto done = [&](int64_t index, Image image) {
    const auto at = static_cast<size_t>(index);
    finished[at] = true;
    if (decoders[at].ends_with(image.pixels)) images[at] = std::move(image);
  };
  if (!draw(std::ssize(streams), decode, sample_events(events, done)))
    images.resize(static_cast<size_t>(std::ranges::find(finished, false) - finished.begin()));
  return images;
}

}  // namespace combiner

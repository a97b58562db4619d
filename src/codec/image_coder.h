// Images of the model's size to streams of bytes and back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "combiner/cancel.h"
#include "combiner/image.h"
#include "combiner/model.h"
#include "image/tiles.h"
#include "sampling/drawing.h"

namespace combiner {

struct CodingOptions {
  int batch = SampleOptions{}.batch;  // the most images coded at once, per thread
  int threads = 1;
};

// Callbacks; any of them may be empty.
struct CodingEvents {
  // A row of some image is done. Called one at a time, from any thread.
  std::function<void()> row_done = {};
  // Encoding has made a stream of so many bytes. Called one at a time, from any thread.
  std::function<void(size_t bytes)> stream_done = {};
  // Asked often, possibly by several threads at once.
  Cancel cancel = {};
};

// Each sub-pixel is coded with the probabilities that the model gives it after all before it. Both
// directions decode the image step by step (Session): the parallel pass sums in another order, so
// its logits have other bits. The bytes depend on neither the batch nor the threads.
class ImageCoder {
 public:
  // `model` must outlive the coder.
  ImageCoder(const Model& model, const CodingOptions& options);
  ~ImageCoder();

  TileSize image_size() const;

  // Both throw Error if an option is out of range or the model's images have not three channels.
  // They are fastest if all calls have as many images as the one before.
  //
  // Returns a stream for each image. None if asked to end. Throws Error if an image has a value
  // that the model doesn't know, and std::invalid_argument if it is not of the model's size.
  std::vector<std::vector<uint8_t>> encode(std::span<const Image> images,
                                           const CodingEvents& events = {});
  // Returns the image of each stream; one without pixels for a stream that is no encoded image. If
  // asked to end, those before the first that is not finished.
  std::vector<Image> decode(std::span<const std::span<const uint8_t>> streams,
                            const CodingEvents& events = {});

 private:
  bool draw(int64_t count, const ChooseForImage& choose, const SampleEvents& events);

  const Model& model_;
  const CodingOptions options_;
  int64_t count_ = 0;  // that the drawing is for
  std::unique_ptr<Drawing> drawing_;
};

}  // namespace combiner

#include "combiner/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "combiner/error.h"
#include "sampling/drawing.h"

namespace combiner {
namespace {

void check(const ModelConfig& config, std::span<const Image> images, int rows,
           const SampleOptions& options) {
  validate(config, options);
  constexpr int64_t kMostStreams = variation_stream(1, 0);  // of one of several images
  if (images.size() > 1 && options.first_index > kMostStreams - options.count)
    throw Error(
        fmt::format("{} variations of several images from index {} on; expected all to be below {}",
                    options.count, options.first_index, kMostStreams));
  const ImageShape& shape = config.image;
  if (rows < 0 || rows >= shape.height)
    throw Error(fmt::format("rows to keep: {}; expected 0 to {}, the model's images have {}", rows,
                            shape.height - 1, shape.height));
  for (size_t i = 0; i < images.size(); ++i)
    if (images[i].width != shape.width || images[i].height != shape.height ||
        std::cmp_not_equal(images[i].pixels.size(), 3 * shape.width * shape.height))
      throw Error(fmt::format("image {} is {}x{} pixels; expected {}x{}, the model's size", i,
                              images[i].width, images[i].height, shape.width, shape.height));
}

// Throws Cancelled or returns false if asked to end.
bool draw_completions(const Model& model, std::span<const Image> images, int rows,
                      const SampleOptions& options, const SampleEvents& events) {
  const auto total = static_cast<int64_t>(images.size());
  const int64_t variations = options.count;
  // Prefilled images are kept while their variations are drawn. There are no more of them than of
  // variations drawn at once, so they at most double the memory.
  const int64_t together = int64_t{options.batch} * options.threads / variations;
  std::optional<Drawing> drawing;
  int64_t drawing_count = 0;
  for (int64_t first = 0; first < total;) {
    const int64_t count = std::clamp<int64_t>(together, 1, total - first);
    if (!drawing || drawing_count != count) {
      SampleOptions chunk = options;
      chunk.count = count * variations;
      drawing.emplace(model, chunk, events.cancel);
      drawing_count = count;
    }
    const std::span<ImageState* const> known = drawing->prefill(
        images.subspan(static_cast<size_t>(first), static_cast<size_t>(count)), rows, events);
    const auto image = [&](int64_t i) {
      const int64_t number = i / variations;
      const int64_t stream = variation_stream(first + number, options.first_index + i % variations);
      return ImageToDraw{.index = first * variations + i,
                         .stream = static_cast<uint64_t>(stream),
                         .start = known[static_cast<size_t>(number)]};
    };
    if (!drawing->draw(image, events)) return false;
    first += count;
  }
  return true;
}

}  // namespace

bool complete(const Model& model, std::span<const Image> images, int rows,
              const SampleOptions& options, const SampleEvents& events) {
  check(model.config(), images, rows, options);
  try {
    return draw_completions(model, images, rows, options, events);
  } catch (const Cancelled&) {
    return false;
  }
}

}  // namespace combiner

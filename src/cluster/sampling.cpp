#include "cluster/sampling.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "base/share.h"
#include "cluster/gathering.h"

namespace combiner {
namespace {

// What ranks give: a row of an image, before its pixels.
struct RowHeader {
  int64_t image;
  int32_t row;
};

std::string packed(int64_t image, int row, std::span<const uint8_t> pixels) {
  const RowHeader header{image, row};
  std::string text(sizeof header, '\0');
  std::memcpy(text.data(), &header, sizeof header);
  return text.append(pixels.begin(), pixels.end());
}

}  // namespace

bool sample_on_ranks(Cluster& cluster, const Model& model, const SampleOptions& options,
                     const SampleEvents& events) {
  const ImageShape& shape = model.config().image;
  std::map<int64_t, Image> unfinished;
  const auto take = [&](int, const std::string& text) {
    RowHeader header;
    std::memcpy(&header, text.data(), sizeof header);
    const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data() + sizeof header);
    const std::span pixels(bytes, text.size() - sizeof header);
    Image& image = unfinished[header.image];
    image.pixels.insert(image.pixels.end(), pixels.begin(), pixels.end());
    if (events.row_done) events.row_done(header.image, header.row, pixels);
    if (header.row + 1 < shape.height) return;
    image.width = shape.width;
    image.height = shape.height;
    if (events.image_done) events.image_done(header.image, std::move(image));
    unfinished.erase(header.image);
  };
  Gathering gathering(cluster, take, events.cancel);
  const SampleEvents own_events = {
      .row_done =
          [&](int64_t image, int row, std::span<const uint8_t> pixels) {
            gathering.give(packed(image, row, pixels));
            gathering.go_on();
          },
      .cancel = Cancel([&] { return gathering.stopped(); })};
  SampleOptions own = options;
  const Range part = part_of(options.count, cluster.rank(), cluster.size());
  own.first_index += part.first;
  own.count = part.last - part.first;
  return gathering.finish_after([&] {
    if (own.count > 0) sample(model, own, own_events);
  });
}

}  // namespace combiner

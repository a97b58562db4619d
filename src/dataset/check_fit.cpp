#include "dataset/check_fit.h"

#include <fmt/format.h>

#include "combiner/error.h"

namespace combiner {

void check_fit(const ModelConfig& config, const Dataset& images) {
  constexpr int kChannels = 3;
  if (config.image.channels != kChannels)
    throw Error(fmt::format("the model's images have {} channels, expected {}: data sets are RGB",
                            config.image.channels, kChannels));
  if (config.image.width != images.width() || config.image.height != images.height())
    throw Error(
        fmt::format("the model takes images of {}x{} pixels, the data set has {}x{}; open "
                    "it at the model's size, resizing if need be",
                    config.image.width, config.image.height, images.width(), images.height()));
  if (images.size() == 0) throw Error("the data set has no images");
}

}  // namespace combiner

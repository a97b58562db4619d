// A folder with maps of how surprising a model finds images.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "combiner/dataset.h"
#include "combiner/likelihood.h"
#include "image/png.h"

namespace combiner {

// Each file appears as a whole or not at all. Everything throws Error if a file can't be written.
class SurpriseFolder {
 public:
  // The text that the PNG of an image carries or, without an index, extremes.png.
  using Texts = std::function<std::vector<PngText>(std::optional<int64_t> index)>;

  // Makes the folder for images of this size, unless it is there. Throws Error if it can't be made
  // or written to. `texts` must be thread-safe.
  SurpriseFolder(std::filesystem::path path, int width, int height, Texts texts);

  // Writes image `index` beside its map (surprise_map) to 00007.png, and the bits (-log2 p) of each
  // sub-pixel, float32 [height, width, 3], to 00007.npy. Takes what evaluate() hands to OnNats.
  // Thread-safe.
  void write(int64_t index, std::span<const uint8_t> pixels, std::span<const float> nats) const;

  // Writes extremes.png: the images with the most and the fewest bits/dim, up to 8 of each. Writes
  // nothing if no image was evaluated. Throws Error if an image can't be read.
  void write_extremes(const Likelihood& likelihood, const Dataset& images) const;

 private:
  std::filesystem::path file(int64_t index, const char* extension) const;

  std::filesystem::path path_;
  int width_, height_;
  Texts texts_;
};

}  // namespace combiner

// A folder with maps of how surprising a model finds images.
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "combiner/dataset.h"
#include "combiner/likelihood.h"
#include "image/png.h"
#include "image/surprise_map.h"

namespace combiner {

// Each file appears as a whole or not at all.
class SurpriseFolder {
 public:
  // The text that the PNG of an image carries or, without an index, extremes.png.
  using Texts = std::function<std::vector<PngText>(std::optional<int64_t> index)>;

  // Makes the folder for images of this size, unless it is there. Throws Error if it can't be made,
  // or if one of its files can't be written. `texts` must be thread-safe.
  SurpriseFolder(std::filesystem::path path, int width, int height, Texts texts);

  // The number of maps in the folder whose images have this index or a higher one. Throws Error if
  // the folder can't be listed.
  int64_t maps_from(int64_t index) const;

  // Writes image `index` beside its map (SurpriseMap) to map-00007.png, and the bits (-log2 p) of
  // each sub-pixel, float32 [height, width, 3], to bits-00007.npy. Takes what evaluate() hands to
  // OnNats. A failure is said at once, and after it nothing more is written, so that the evaluation
  // can go on; finish() throws it. Thread-safe.
  void write(int64_t index, std::span<const uint8_t> pixels, std::span<const float> nats);

  // Throws the first failure of write(), if there was one. Otherwise writes extremes.png: the
  // images with the most and the fewest bits/dim, up to 8 of each. Writes nothing if no image was
  // evaluated. Throws Error if the file can't be written or an image can't be read.
  void finish(const Likelihood& likelihood, const Dataset& images) const;

 private:
  std::filesystem::path map_file(int64_t index) const;
  std::filesystem::path bits_file(int64_t index) const;
  std::filesystem::path extremes_file() const;
  void write_files(int64_t index, std::span<const uint8_t> pixels,
                   std::span<const float> nats) const;

  std::filesystem::path path_;
  int width_, height_;
  SurpriseMap map_;
  Texts texts_;
  std::mutex mutex_;  // guards failure_ while write() may be called
  std::exception_ptr failure_;
};

}  // namespace combiner

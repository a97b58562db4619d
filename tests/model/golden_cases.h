// The models in tests/data/golden, with their images and expected outputs.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "data_folders.h"
#include "weights/safetensors.h"
#include "weights/weights_file.h"

namespace combiner {

struct GoldenCase {
  std::string name;
  Weights weights;
  std::vector<uint8_t> pixels;  // [images, dims]
  std::vector<float> logits;    // [images, dims, 256]
  std::vector<float> nats;      // [images, dims]

  size_t dims() const { return static_cast<size_t>(weights.config.dims()); }
  size_t images() const { return pixels.size() / dims(); }
  // The part of one of the vectors above that belongs to one image.
  template <class T>
  std::span<const T> image(const std::vector<T>& all, size_t index) const {
    const size_t size = all.size() / images();
    return std::span(all).subspan(index * size, size);
  }
};

inline std::vector<GoldenCase> golden_cases() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder()))
    if (entry.path().string().ends_with(".golden.safetensors")) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());

  std::vector<GoldenCase> cases;
  for (const std::filesystem::path& path : paths) {
    const SafetensorsFile golden = SafetensorsFile::open(path);
    const std::string name = path.stem().stem().string();
    GoldenCase& c = cases.emplace_back(
        GoldenCase{name, load_weights(golden_folder() / (name + ".safetensors")), {}, {}, {}});
    const TensorView& pixels = *golden.find("pixels");
    c.pixels.resize(pixels.data.size());
    std::memcpy(c.pixels.data(), pixels.data.data(), pixels.data.size());
    for (const auto& [tensor, to] : {std::pair("logits", &c.logits), std::pair("nats", &c.nats)}) {
      const TensorView& from = *golden.find(tensor);
      to->resize(static_cast<size_t>(from.elements()));
      to_floats(from, *to);
    }
  }
  return cases;
}

}  // namespace combiner

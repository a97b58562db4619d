// Training that takes a moment: a tiny model, and pictures from which even that learns.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "memory_dataset.h"
#include "model/random_model.h"
#include "training/trainer.h"

namespace combiner {

inline constexpr int kTinySide = 4;

inline ModelConfig tiny_config() {
  return small_config(Tokens::pixel, Attention::axial_rowmajor, kTinySide, kTinySide);
}

// Ramps that differ in brightness, with a little colour and noise, so that a pixel says much about
// the next.
inline std::shared_ptr<const MemoryDataset> tiny_pictures(int64_t count, uint64_t seed = 1) {
  Random random(seed);
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < count; ++i) {
    const double base = 60 + static_cast<double>(random.below(120));
    for (int place = 0; place < kTinySide * kTinySide; ++place)
      for (int channel = 0; channel < 3; ++channel) {
        const double value = base + 6 * (place % kTinySide) + 4 * channel + random.normal(2);
        pixels.push_back(static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)));
      }
  }
  return std::make_shared<const MemoryDataset>(kTinySide, kTinySide, std::move(pixels));
}

inline TrainingOptions tiny_options() {
  TrainingOptions options;
  options.warmup_steps = 5;
  return options;
}

}  // namespace combiner

// A trainer's state as a file: Trainer::save writes it and Trainer::restore reads it back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "combiner/config.h"
#include "combiner/precision.h"
#include "training/options.h"

namespace combiner {

// What a checkpoint says about the trainer that can restore it.
struct CheckpointHeader {
  ModelConfig config;
  TrainingOptions options;
  int64_t training_images = 0;  // how many there were
  int64_t step = 0;
  std::optional<Precision> precision = {};  // of products, if the checkpoint tells
};

// Throws Error if the file is malformed, damaged or not a checkpoint.
CheckpointHeader read_checkpoint_header(const std::filesystem::path& path);

}  // namespace combiner

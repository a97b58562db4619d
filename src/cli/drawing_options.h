// The options of subcommands that draw images.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "cli/recipe.h"
#include "cluster/cluster.h"
#include "combiner/model.h"
#include "combiner/sampler.h"

namespace combiner {

struct DrawingOptions {
  std::string model;  // empty for the shipped one
  std::optional<uint64_t> seed;
  std::optional<int> batch;
  Precision precision = Precision::f32;
  SampleOptions sampling;  // what run() has filled in is final; count is up to the subcommand
};

// Adds --model, --seed, --first, --temperature, --top-k, --top-p, --batch, --threads and
// --precision. `drawn` is what the numbers from --first on count.
void add_drawing_options(CLI::App& command, DrawingOptions& options, std::string_view drawn);

// Loads the model and fills in what was left open. Prints a seed that it has to choose, the same on
// all ranks. Collective.
Model prepare_drawing(DrawingOptions& options, const std::filesystem::path& path,
                      Cluster& cluster = single_process());

// What is drawn with these options, which prepare_drawing() has completed, and the model at `path`.
// The sheet is up to the subcommand.
Recipe drawing_recipe(const char* command, const std::filesystem::path& path,
                      const DrawingOptions& options);

}  // namespace combiner

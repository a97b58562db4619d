// The options of subcommands that code pictures.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "codec/image_coder.h"
#include "combiner/model.h"

namespace combiner {

struct CodingCommandOptions {
  std::string model;  // empty for the shipped one
  std::optional<int> batch;
  int threads = 1;
};

// Adds --model, --batch and --threads.
void add_coding_options(CLI::App& command, CodingCommandOptions& options);

// The batch that was given or, without one, one that fits the machine's memory.
CodingOptions coding_options(const CodingCommandOptions& options, const Model& model);

}  // namespace combiner

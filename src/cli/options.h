// Options that several subcommands have, with one meaning everywhere.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "combiner/dataset.h"
#include "model/model.h"

namespace combiner {

// Accepts whole numbers of 1 or more.
CLI::Validator at_least_one();

// The whole number of a --seed, 0 to 2^64 - 1; throws CLI::ValidationError on anything else.
// (CLI11's own reading of unsigned numbers wraps -1 around.)
uint64_t parse_seed(const std::string& text);

// --model FILE; left empty if not given.
void add_model_option(CLI::App& command, std::string& model);

// --precision auto|f32|bf16|int8; auto, the default, is bf16 where the processor has such products.
void add_precision_option(CLI::App& command, Precision& precision);
// The same without int8.
void add_training_precision_option(CLI::App& command, Precision& precision);

// Which images a model is measured on.
struct ImagesOptions {
  std::string data;
  Split split = Split::test;
  bool resize = false;
  std::optional<int64_t> limit;
};
// --data, which is returned, --split, --limit and --resize.
CLI::Option* add_images_options(CLI::App& command, ImagesOptions& options);
std::unique_ptr<Dataset> open_images(const ImagesOptions& options, const ModelConfig& config);

// --threads N, 1 to 1024; by default as many as the process may run at once.
void add_threads_option(CLI::App& command, int& threads);

// Where large temporary files go: $TMPDIR, or /var/tmp, which unlike /tmp is never in memory.
std::filesystem::path scratch_folder();

// The file given by --model or, without that option, the model that comes with the program, found
// from the program's own place. Error with the places tried if it isn't there.
std::filesystem::path find_model(const std::string& model);

}  // namespace combiner

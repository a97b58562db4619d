// Options that several subcommands share.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/skipped_images.h"
#include "combiner/dataset.h"
#include "model/model.h"

namespace combiner {

// Accepts these words. The complaint about another one names the nearest.
CLI::Validator one_of(std::vector<std::string> words);

// --model FILE; `model` stays empty if the option is not given.
CLI::Option* add_model_option(CLI::App& command, std::string& model);

// --precision auto|f32|bf16|int8. The default, auto, is the faster of f32 and bf16 for this work on
// this processor.
void add_precision_option(CLI::App& command, Precision& precision, Work work);
// The same option without int8, as it is given: without it, a checkpoint's precision comes before
// auto.
void add_training_precision_option(CLI::App& command, std::optional<std::string>& precision);

// "train" or "test".
std::string name(Split split);

// Prints a line to standard error: DatasetOptions::notice of all commands.
void print_notice(const std::string& line);

// How all commands open data: what is unusual is said on standard error, and checking is shown and
// throws Interrupted once `interrupted`.
DatasetOptions dataset_options(Split split, const ImageShape& shape, bool resize, int threads,
                               const std::atomic<bool>& interrupted);

// The images to measure a model on, or to search.
struct ImagesOptions {
  std::string data;
  Split split = Split::test;
  bool resize = false;
  std::optional<int64_t> limit;
  bool skip_bad = false;
};
// Adds --data, --split, --limit, --resize and --skip-bad. Returns --data, which a caller may make
// required.
CLI::Option* add_images_options(CLI::App& command, ImagesOptions& options,
                                Split default_split = Split::test);
// Adds --skip-bad: leave out images that can't be used.
CLI::Option* add_skip_bad_option(CLI::App& command, bool& skip_bad);
// Throws Error if the images can't be opened, if one can't be used and is not to be skipped, or
// once `interrupted`. Checks with `threads` threads.
std::unique_ptr<Dataset> open_images(const ImagesOptions& options, const ImageShape& shape,
                                     int threads, const std::atomic<bool>& interrupted,
                                     SkippedImages& skipped);

// --no-metadata, of subcommands that make pictures.
void add_no_metadata_option(CLI::App& command, bool& no_metadata);

// --threads N, 1 to 1024. The default is the number of threads that the process may run at once.
void add_threads_option(CLI::App& command, int& threads);

}  // namespace combiner

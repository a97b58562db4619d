#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/plural.h"
#include "base/printable.h"
#include "cli/checking.h"
#include "cli/nearest_name.h"
#include "cli/number_option.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "cpu/limits.h"
#include "dataset/scratch_file.h"

namespace combiner {
namespace {

constexpr int kMaxThreads = 1024;

constexpr const char* kPrecisionHelp =
    "Precision of the matrix products; auto is bf16 or f32, whichever is faster here";

}  // namespace

CLI::Validator one_of(std::vector<std::string> words) {
  const std::string set = fmt::format("{{{}}}", fmt::join(words, ","));
  const auto complaint = [words = std::move(words), set](const std::string& word) {
    if (std::ranges::find(words, word) != words.end()) return std::string();
    return fmt::format("{} not in {}{}", typed(word), set, did_you_mean(word, words));
  };
  return CLI::Validator(complaint, set, "one of");
}

CLI::Option* add_model_option(CLI::App& command, std::string& model) {
  return command
      .add_option("--model", model,
                  "Weights file (.safetensors) or a name that combiner models lists [cifar10]")
      ->type_name("FILE");
}

void add_precision_option(CLI::App& command, Precision& precision, Work work) {
  command
      .add_option_function<std::string>(
          "--precision",
          [&precision, work](const std::string& name) {
            precision = precision_named(name).value_or(fastest_precision(work));
          },
          kPrecisionHelp)
      ->default_str("auto")
      ->force_callback()  // what auto means depends on --isa
      ->check(one_of({"auto", "f32", "bf16", "int8"}));
}

void add_training_precision_option(CLI::App& command, std::optional<std::string>& precision) {
  const auto complaint = [](const std::string& name) {
    return name == "int8"
               ? "int8 weights can't be trained; train in f32 or bf16, then run combiner "
                 "quantize"
               : std::string();
  };
  command
      .add_option("--precision", precision,
                  std::string(kPrecisionHelp) + " [auto; with --resume, that of the checkpoint]")
      ->check(CLI::Validator(complaint, "", "trainable"))
      ->check(one_of({"auto", "f32", "bf16"}));
}

std::string name(Split split) { return split == Split::train ? "train" : "test"; }

CLI::Option* add_images_options(CLI::App& command, ImagesOptions& options, Split default_split) {
  options.split = default_split;
  CLI::Option* const data =
      command
          .add_option("--data", options.data,
                      "CIFAR-10 folder or .bin file, ImageNet-64 folder or .npz file, folder of "
                      "pictures, or one picture")
          ->type_name("PATH");
  command
      .add_option_function<std::string>(
          "--split",
          [&options](const std::string& name) {
            options.split = name == "train" ? Split::train : Split::test;
          },
          "Which part of the data set, train or test")
      ->check(one_of({"train", "test"}))
      ->default_str(name(default_split))
      ->needs(data);
  add_number(command, "--limit", options.limit, {1}, "Only the first N images")->needs(data);
  command
      .add_flag("--resize", options.resize,
                "Centre-crop and resample images of another size to the one needed")
      ->needs(data);
  add_skip_bad_option(command, options.skip_bad)->needs(data);
  return data;
}

CLI::Option* add_skip_bad_option(CLI::App& command, bool& skip_bad) {
  return command.add_flag("--skip-bad", skip_bad,
                          "Leave out pictures that can't be read or have another size; names the "
                          "first five and says how many");
}

void print_notice(const std::string& line) { say("{}\n", printable_lines(line)); }

DatasetOptions dataset_options(Split split, const ImageShape& shape, bool resize, int threads,
                               const std::atomic<bool>& interrupted) {
  return {.split = split,
          .width = shape.width,
          .height = shape.height,
          .resize = resize,
          .scratch = scratch_folder(),
          .checking = show_checking(interrupted),
          .checking_pictures = show_checking_pictures(interrupted),
          .threads = threads,
          .notice = print_notice};
}

std::unique_ptr<Dataset> open_images(const ImagesOptions& options, const ImageShape& shape,
                                     int threads, const std::atomic<bool>& interrupted,
                                     SkippedImages& skipped) {
  DatasetOptions how = dataset_options(options.split, shape, options.resize, threads, interrupted);
  how.checked = options.limit;
  if (options.skip_bad) how.on_bad = [&](const std::string& why) { skipped.add(why); };
  std::unique_ptr<Dataset> images = open_dataset(options.data, how);
  skipped.say_count();
  return images;
}

void add_no_metadata_option(CLI::App& command, bool& no_metadata) {
  command.add_flag("--no-metadata", no_metadata, "Leave out of the PNG files how they were made");
}

void add_threads_option(CLI::App& command, int& threads) {
  const int usable = std::min(usable_threads(), kMaxThreads);
  threads = usable;
  add_number_function<int>(
      command, "--threads",
      [&threads, usable](int wanted) {
        threads = std::min(wanted, usable);
        if (wanted > usable)
          say("--threads {}: this process may use {}, so {}\n", wanted, plural(usable, "processor"),
              plural(usable, "thread"));
      },
      {1, kMaxThreads},
      "Threads to compute with [one for each processor that may be used, and no more]");
}

}  // namespace combiner

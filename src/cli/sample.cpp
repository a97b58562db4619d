// combiner sample: draws images from a model and writes them to one sheet or to a folder.

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "combiner/sampler.h"
#include "cpu/limits.h"
#include "image/contact_sheet.h"
#include "image/write_png.h"
#include "sampling/choice.h"
#include "sampling/memory.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultCount = 16;
constexpr int64_t kMostOnSheet = 1 << 20;
constexpr int kGap = 2;  // pixels between the images of a sheet

struct Grid {
  int rows = 0;
  int columns = 0;
  int64_t places() const { return int64_t{rows} * columns; }
};

struct SampleCommandOptions {
  std::string model;
  std::string output = "samples.png";
  std::optional<int64_t> count;
  std::optional<uint64_t> seed;
  std::optional<int> batch;
  std::optional<Grid> grid;
  int scale = 1;
  Precision precision = Precision::f32;
  SampleOptions sampling;

  bool to_folder() const {
    std::error_code ignored;  // if the path can't be examined, writing it fails with a message
    return output.ends_with('/') || fs::is_directory(output, ignored);
  }
};

Grid parse_grid(const std::string& text) {
  Grid grid;
  const char* const end = text.data() + text.size();
  const auto rows = std::from_chars(text.data(), end, grid.rows);
  const char* const columns_text = rows.ptr == end ? end : rows.ptr + 1;
  const auto columns = std::from_chars(columns_text, end, grid.columns);
  if (rows.ec != std::errc() || columns.ec != std::errc() || *rows.ptr != 'x' ||
      columns.ptr != end || grid.rows < 1 || grid.columns < 1)
    throw CLI::ValidationError("--grid",
                               fmt::format("{} is not of the form 4x8, rows x columns", text));
  return grid;
}

// A grid of at least `places` places with as many columns as rows, or one more.
Grid nearly_square(int64_t places) {
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(places))));
  return {static_cast<int>((places + columns - 1) / columns), static_cast<int>(columns)};
}

// Chooses the sheet's grid if none is given. Throws CLI::ValidationError if the images don't fit it
// or the output can't be a sheet.
void complete_sheet(SampleCommandOptions& options) {
  if (!CLI::detail::to_lower(options.output).ends_with(".png"))
    throw CLI::ValidationError(
        "--output",
        fmt::format("{} neither ends in .png (a sheet) nor in / (a folder)", options.output));
  const int64_t count = options.sampling.count;
  if (count > kMostOnSheet)
    throw CLI::ValidationError(
        "--count", fmt::format("{} images are too many for a sheet; let --output be a folder, "
                               "ending in /",
                               count));
  if (!options.grid) options.grid = nearly_square(count);
  if (options.grid->places() < count)
    throw CLI::ValidationError("--grid",
                               fmt::format("{}x{} has no place for {} images", options.grid->rows,
                                           options.grid->columns, count));
}

// Fills in the options that the command line leaves open. Throws CLI::ValidationError if the
// options are invalid.
void complete(SampleCommandOptions& options) {
  try {
    validate(options.sampling.choice);
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
  options.sampling.count =
      options.count.value_or(options.grid ? options.grid->places() : kDefaultCount);
  if (!options.to_folder()) return complete_sheet(options);
  if (options.grid || options.scale != 1)
    throw CLI::ValidationError(
        fmt::format("--grid and --scale are for a sheet; {} is a folder", options.output));
}

uint64_t random_seed() { return std::random_device()(); }

fs::path image_path(const fs::path& folder, int64_t index) {
  return folder / fmt::format("{:05}.png", index);
}

// These two check before the long computation that the result can be written.
void prepare_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", folder.string(), error.message()));
  OutputFile(image_path(folder, 0));
}
void prepare_sheet(const SampleCommandOptions& options, const ImageShape& shape) {
  const Image blank{shape.width, shape.height,
                    std::vector<uint8_t>(size_t{3} * shape.width * shape.height)};
  contact_sheet({&blank, 1}, options.grid->rows, options.grid->columns, kGap, options.scale);
  OutputFile(options.output);
}

void run(SampleCommandOptions options) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  const Model model(load_weights(find_model(options.model)), options.precision,
                    options.sampling.threads);
  const ImageShape& shape = model.config().image;
  const bool to_folder = options.to_folder();
  if (to_folder)
    prepare_folder(options.output);
  else
    prepare_sheet(options, shape);
  if (!options.seed) fmt::print(stderr, "seed {}\n", options.seed.emplace(random_seed()));
  options.sampling.seed = *options.seed;
  options.sampling.batch =
      options.batch ? *options.batch
                    : suggested_batch(sampling_memory(model.weights(), options.precision),
                                      options.sampling.threads, usable_memory());

  const int64_t count = options.sampling.count;
  std::vector<Image> sheet(to_folder ? 0 : static_cast<size_t>(count));
  int64_t rows_done = 0, images_done = 0;
  Progress progress("images");
  const auto show = [&] {
    progress.update(images_done,
                    static_cast<double>(rows_done) / (static_cast<double>(count) * shape.height));
  };
  show();
  SampleEvents events;
  events.cancelled = [&] { return interrupted.load(); };
  events.row_done = [&](int64_t, int, std::span<const uint8_t>) {
    ++rows_done;
    show();
  };
  events.image_done = [&](int64_t index, Image image) {
    if (to_folder)
      write_png(image_path(options.output, index), image);
    else
      sheet[static_cast<size_t>(index)] = std::move(image);
    ++images_done;
    show();
  };
  const auto start = std::chrono::steady_clock::now();
  const bool finished = sample(model, options.sampling, events);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  progress.clear();

  if (!finished && to_folder)
    throw Error(
        fmt::format("interrupted: {} of {} images are in {}", images_done, count, options.output));
  if (!finished) throw Error("interrupted: no sheet is written");
  if (!to_folder)
    write_png(options.output,
              contact_sheet(sheet, options.grid->rows, options.grid->columns, kGap, options.scale));
  fmt::print("{}: {} images of seed {}, {:.3g} images/s ({}; {})\n", options.output, count,
             *options.seed, static_cast<double>(count) / seconds.count(), name(options.precision),
             instructions_in_use());
}

}  // namespace

std::function<void()> sample_command(CLI::App& command) {
  const auto options = std::make_shared<SampleCommandOptions>();
  add_model_option(command, options->model);
  command
      .add_option("-o,--output", options->output,
                  "A sheet of all images (.png), or a folder (ending in / or there already) for a "
                  "PNG of each, written when it is done")
      ->type_name("FILE.png|DIR/")
      ->capture_default_str();
  command
      .add_option(
          "-n,--count", options->count,
          fmt::format("Images to draw [as many as --grid has places, or {}]", kDefaultCount))
      ->type_name("N")
      ->check(at_least_one());
  command
      .add_option_function<std::string>(
          "--seed", [options](const std::string& text) { options->seed = parse_seed(text); },
          "Image k of a seed is always the same [a random seed, printed]")
      ->type_name("S");
  command
      .add_option("--temperature", options->sampling.choice.temperature,
                  "Divides the logits; 0 takes the likeliest value of each sub-pixel")
      ->type_name("T")
      ->capture_default_str();
  command
      .add_option("--top-k", options->sampling.choice.top_k,
                  "Draw among the K likeliest values only, 1 to 256")
      ->type_name("K")
      ->capture_default_str();
  command
      .add_option("--top-p", options->sampling.choice.top_p,
                  "Draw among the fewest likeliest values that together have probability P")
      ->type_name("P")
      ->capture_default_str();
  command
      .add_option("--batch", options->batch,
                  fmt::format("Most images that a thread draws at once [{}, or as many as fit in a "
                              "quarter of the machine's memory]",
                              options->sampling.batch))
      ->type_name("B")
      ->check(at_least_one());
  add_threads_option(command, options->sampling.threads);
  add_precision_option(command, options->precision, Work::decoding);
  command
      .add_option_function<std::string>(
          "--grid", [options](const std::string& text) { options->grid = parse_grid(text); },
          "The sheet's rows and columns [nearly square]")
      ->type_name("RxC");
  command.add_option("--scale", options->scale, "The sheet's magnification")
      ->type_name("S")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.parse_complete_callback([options] { complete(*options); });
  return [options] { run(*options); };
}

}  // namespace combiner

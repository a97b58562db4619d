// combiner sample: draws images from a model and writes them to one sheet or to a folder.

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/parse_number.h"
#include "base/plural.h"
#include "base/printable.h"
#include "base/round_up.h"
#include "cli/commands.h"
#include "cli/drawing_options.h"
#include "cli/drawn_pictures.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/recipe.h"
#include "cli/say.h"
#include "cli/shipped_models.h"
#include "cluster/sampling.h"
#include "combiner/error.h"
#include "combiner/sampler.h"
#include "image/read_image.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultCount = 16;

struct Grid {
  int rows = 0;
  int columns = 0;
  int64_t places() const { return int64_t{rows} * columns; }
};

struct SampleCommandOptions {
  DrawingOptions drawing;
  OutputOptions output{.output = "samples.png"};
  std::optional<int64_t> count;
  std::optional<Grid> grid;
  int gap = kSheetGap;
  std::string like;  // a file
  std::optional<Recipe> like_recipe;
};

Grid parse_grid(const std::string& text) {
  const size_t x = text.find('x');
  std::optional<int> rows, columns;
  if (x != text.npos) {
    rows = parse_number<int>(text.substr(0, x));
    columns = parse_number<int>(text.substr(x + 1));
  }
  if (rows.value_or(0) < 1 || columns.value_or(0) < 1)
    throw CLI::ValidationError(
        "--grid", fmt::format("{} is not of the form 4x8, rows x columns", typed(text)));
  return {*rows, *columns};
}

// A grid of at least `places` places with as many columns as rows, or one more.
Grid nearly_square(int64_t places) {
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(places))));
  return {static_cast<int>(ceil_div(places, columns)), static_cast<int>(columns)};
}

// Takes what the command line leaves open from the file named by --like.
void take_recipe(const CLI::App& command, SampleCommandOptions& options) {
  const nlohmann::ordered_json made_by = read_made_by(options.like);
  const nlohmann::ordered_json command_name = made_by.value("command", nlohmann::ordered_json());
  if (command_name != "sample")
    throw Error(fmt::format("{}: was made by combiner {}; combiner info {} shows how", options.like,
                            printable(command_name.dump()), options.like));
  const Recipe recipe = read_recipe(options.like);
  const auto open = [&](const char* option) { return command.count(option) == 0; };
  ChoiceOptions& choice = options.drawing.sampling.choice;
  if (open("--seed")) options.drawing.seed = recipe.seed;
  if (open("--temperature")) choice.temperature = recipe.choice.temperature;
  if (open("--top-k")) choice.top_k = recipe.choice.top_k;
  if (open("--top-p")) choice.top_p = recipe.choice.top_p;
  if (command.get_option("--precision")->as<std::string>() == "auto")
    options.drawing.precision = recipe.precision;
  if (open("--first")) options.drawing.sampling.first_index = recipe.first;
  if (open("--count") && open("--grid")) {
    options.count = recipe.count;
    if (options.output.destination != Destination::folder) {
      options.grid = {recipe.sheet.rows, recipe.sheet.columns};
      options.gap = recipe.sheet.gap;
      if (open("--scale")) options.output.scale = recipe.sheet.scale;
    }
  }
  options.like_recipe = recipe;
}

// Fills in the options that the command line leaves open. Throws CLI::ValidationError if the
// options are invalid.
void fill_in(const CLI::App& command, SampleCommandOptions& options) {
  check_output_options(options.output);
  if (options.output.destination == Destination::folder && (options.grid || options.output.scale))
    throw CLI::ValidationError(
        fmt::format("--grid and --scale are for a sheet; {} is a folder", options.output.output));
  if (!options.like.empty()) {
    check_no_input("--output", options.output.output, options.like);
    check_no_input("--preview", options.output.preview, options.like);
    take_recipe(command, options);
    // An unfinished sheet may be drawn to its end under its own name.
    if (!options.like_recipe->unfinished)
      check_no_input("--output", partial_sheet(options.output.output).string(), options.like);
  }
  int64_t& count = options.drawing.sampling.count;
  count = options.count.value_or(options.grid ? options.grid->places() : kDefaultCount);
  if (!options.grid) options.grid = nearly_square(count);
  if (options.grid->places() < count)
    throw CLI::ValidationError("--grid",
                               fmt::format("{}x{} has no place for {}", options.grid->rows,
                                           options.grid->columns, plural(count, "image")));
}

// What all images of this run have in common with the picture to be like. Says what differs; throws
// Error if it is the model and the user has not named another.
void compare_recipes(const SampleCommandOptions& options, const Recipe& now) {
  const Recipe& then = *options.like_recipe;
  if (then.sha256 != now.sha256) {
    const std::string difference =
        fmt::format("{} was drawn from {}, SHA-256 {}; {} has {}", options.like, then.model,
                    then.sha256, now.model, now.sha256);
    if (options.drawing.model.empty())
      throw Error(difference + "; name the model that it was drawn from with --model");
    say("{}\n", difference);
  }
  if (then.precision == now.precision && then.kernels != now.kernels)
    say("{} was drawn in {} with {}; with {}, pixels may differ\n", options.like,
        name(then.precision), then.kernels, now.kernels);
}

// If this run was to draw the same picture, checks that it did.
void compare_pictures(const SampleCommandOptions& options, Recipe now,
                      const std::optional<Image>& picture) {
  const Recipe& then = *options.like_recipe;
  now.program = then.program;
  now.model = then.model;
  now.kernels = then.kernels;
  now.unfinished = then.unfinished;
  if (now != then) return;
  if (then.unfinished || !picture) {
    say("not compared with {}, which is {}\n", options.like,
        then.unfinished ? "not finished" : "a sheet");
  } else if (*picture != read_image(options.like)) {
    throw Error(fmt::format("{} differs from {}, which {} drew with the same options in {} with {}",
                            options.output.output, options.like, then.program, name(then.precision),
                            then.kernels));
  }
}

// An image's file in a folder, and the recipe that it carries there.
std::string file_name(int64_t index) { return fmt::format("{:05}.png", index); }
Recipe own_recipe(Recipe all, int64_t index) {
  all.first = index;
  all.count = 1;
  all.sheet = {};
  return all;
}

void run(SampleCommandOptions options, Cluster& cluster) {
  const fs::path path = find_model(options.drawing.model);
  const Model model = prepare_drawing(options.drawing, path, cluster);
  const SampleOptions& sampling = options.drawing.sampling;
  Recipe recipe = drawing_recipe("sample", path, options.drawing);
  recipe.sheet = {options.grid->rows, options.grid->columns, options.gap};
  recipe.sheet.scale = sheet_scale(options.output, recipe.sheet, model.config().image);
  if (options.like_recipe) compare_recipes(options, recipe);
  if (cluster.rank() != 0) {
    const std::atomic<bool>& interrupted = catch_interrupts();
    try {
      sample_on_ranks(cluster, model, sampling, {.cancel = cancel_if(interrupted)});
    } catch (const Error&) {
      cluster.barrier();  // never passed: rank 0 keeps what is drawn, and then ends all
      throw;
    }
    return;
  }

  PicturePlan plan{.shape = model.config().image,
                   .first = sampling.first_index,
                   .count = sampling.count,
                   .recipe = recipe};
  plan.places = static_cast<size_t>(sampling.count);
  plan.place = [&](int64_t index) { return static_cast<size_t>(index - sampling.first_index); };
  plan.file_name = file_name;
  plan.index_of = leading_number;
  plan.own_recipe = [&](int64_t index) { return own_recipe(recipe, index); };
  if (!options.like.empty()) plan.inputs = {options.like};
  DrawnPictures pictures(options.output, std::move(plan));
  pictures.draw([&](const SampleEvents& events) {
    return sample_on_ranks(cluster, model, sampling, events);
  });
  pictures.report(plural(sampling.count, "image"), sampling.threads);
  if (!options.like_recipe) return;
  if (options.output.destination != Destination::folder)
    compare_pictures(options, recipe, pictures.sheet());
  else if (options.like_recipe->sheet == SheetLayout())
    compare_pictures(options, own_recipe(recipe, sampling.first_index),
                     read_image(fs::path(options.output.output) / file_name(sampling.first_index)));
  else
    compare_pictures(options, recipe, std::nullopt);
}

}  // namespace

ClusterAction sample_command(CLI::App& command) {
  const auto options = std::make_shared<SampleCommandOptions>();
  add_drawing_options(command, options->drawing, "image");
  add_output_options(command, options->output);
  add_number(command, "-n,--count", options->count, {1, kMostImages},
             fmt::format("Images to draw [as many as --grid has places, or {}]", kDefaultCount));
  command
      .add_option_function<std::string>(
          "--grid", [options](const std::string& text) { options->grid = parse_grid(text); },
          "The sheet's rows and columns [nearly square]")
      ->type_name("RxC");
  command
      .add_option("--like", options->like,
                  "Draw again what this file shows: options not given are those it was drawn with")
      ->type_name("FILE.png");
  command.parse_complete_callback([options, &command] { fill_in(command, *options); });
  return [options](Cluster& cluster) { run(*options, cluster); };
}

}  // namespace combiner

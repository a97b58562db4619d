// combiner complete: keeps the upper rows of pictures and draws the rest.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/plural.h"
#include "cli/commands.h"
#include "cli/drawing_options.h"
#include "cli/drawn_pictures.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/shipped_models.h"
#include "combiner/completion.h"
#include "combiner/error.h"
#include "image/read_image.h"
#include "image/resize.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultVariations = 4;
constexpr int64_t kMostVariations = 1 << 20;
// Beside the variations of a picture, the sheet shows the picture and its kept part.
constexpr int64_t kShownBeside = 2;

struct CompleteOptions {
  DrawingOptions drawing;
  OutputOptions output{.output = "completions.png"};
  std::vector<std::string> pictures;
  std::optional<int> keep_rows;
  std::string mask;
  bool resize = false;
};

// Throws CLI::ValidationError if the options are invalid.
void check(CompleteOptions& options) {
  check_output_options(options.output);
  std::vector<std::string> inputs = options.pictures;
  if (!options.mask.empty()) inputs.push_back(options.mask);
  for (const std::string& input : inputs) {
    check_no_input("--output", options.output.output, input);
    check_no_input("--preview", options.output.preview, input);
    check_no_input("--output", partial_sheet(options.output.output).string(), input);
  }
  if (options.keep_rows && !options.mask.empty())
    throw CLI::ValidationError("--keep-rows and --mask can't both be given");
  if (!options.keep_rows && options.mask.empty())
    throw CLI::ValidationError(
        "nothing says what to keep of the pictures; give --keep-rows or --mask");
  if (options.output.destination == Destination::folder && options.output.scale)
    throw CLI::ValidationError(
        fmt::format("--scale is for a sheet; {} is a folder", options.output.output));
}

// Reads a picture of the model's size.
Image read_picture(const std::string& path, const ImageShape& shape, bool resize) {
  Image image = read_image(path);
  if (image.width == shape.width && image.height == shape.height) return image;
  if (resize) return resize_to(image, shape.width, shape.height);
  throw Error(
      fmt::format("{}: is {}x{} pixels; expected {}x{}, the model's size; --resize cuts and "
                  "resamples pictures",
                  path, image.width, image.height, shape.width, shape.height));
}

// The number of whole upper rows that a mask keeps: those that are black. Throws Error if it keeps
// anything else or nothing, as a picture that is given by mistake does.
int rows_of_mask(const std::string& path, const ImageShape& shape) {
  constexpr const char* kReason =
      "what is black is kept, and the model draws from the top, row by row, each pixel from those "
      "before it, so only whole upper rows can be kept";
  const Image mask = read_image(path);
  if (mask.width != shape.width || mask.height != shape.height)
    throw Error(fmt::format("{}: is {}x{} pixels; expected {}x{}, the model's size", path,
                            mask.width, mask.height, shape.width, shape.height));
  int rows = 0;
  for (int row = 0; row < shape.height; ++row) {
    int kept = 0;
    for (int column = 0; column < shape.width; ++column) {
      const uint8_t* const pixel =
          &mask.pixels[size_t{3} * (static_cast<size_t>(row) * shape.width + column)];
      kept += std::none_of(pixel, pixel + 3, std::identity());
    }
    if (kept != 0 && kept != shape.width)
      throw Error(fmt::format("{}: row {} is kept in part; {}", path, row, kReason));
    if (kept != 0 && row > rows)
      throw Error(fmt::format("{}: row {} is kept below row {}, which is not; {}", path, row, rows,
                              kReason));
    rows += kept != 0;
  }
  if (rows == 0)
    throw Error(
        fmt::format("{}: has no black row, so nothing would be kept; {}; --keep-rows 0 "
                    "keeps nothing",
                    path, kReason));
  return rows;
}

void run(CompleteOptions options) {
  const fs::path path = find_model(options.drawing.model);
  const Model model = prepare_drawing(options.drawing, path);
  const ImageShape& shape = model.config().image;
  const SampleOptions& sampling = options.drawing.sampling;
  std::vector<Image> pictures;
  for (const std::string& picture : options.pictures)
    pictures.push_back(read_picture(picture, shape, options.resize));
  const int rows = options.keep_rows ? *options.keep_rows : rows_of_mask(options.mask, shape);
  if (rows >= shape.height)
    throw Error(
        fmt::format("{} are to be kept, so there is nothing to draw; expected fewer than the {} "
                    "that a picture has",
                    plural(rows, "row"), shape.height));

  const int64_t variations = sampling.count;
  const int64_t columns = variations + kShownBeside;
  PicturePlan plan{.shape = shape,
                   .count = std::ssize(pictures) * variations,
                   .places = pictures.size() * static_cast<size_t>(columns),
                   .recipe = drawing_recipe("complete", path, options.drawing)};
  plan.inputs = options.pictures;
  if (!options.mask.empty()) plan.inputs.push_back(options.mask);
  Recipe& recipe = plan.recipe;
  recipe.keep_rows = rows;
  for (const std::string& picture : options.pictures)
    recipe.pictures.push_back(fs::path(picture).filename().string());
  recipe.sheet = {static_cast<int>(pictures.size()), static_cast<int>(columns), kSheetGap};
  recipe.sheet.scale = sheet_scale(options.output, recipe.sheet, shape);
  plan.place = [=](int64_t index) {
    return static_cast<size_t>(index / variations * columns + kShownBeside + index % variations);
  };
  plan.file_name = [&](int64_t index) {
    const auto picture = static_cast<size_t>(index / variations);
    return fmt::format("{:05}-{}-{}.png", picture,
                       fs::path(options.pictures[picture]).stem().string(), index % variations);
  };
  plan.index_of = [variations, count = std::ssize(pictures)](
                      const std::string& file) -> std::optional<int64_t> {
    const auto picture = leading_number(file);
    const auto variation = leading_number(std::string_view(file).substr(file.rfind('-') + 1));
    if (!picture || !variation || *picture >= count || *variation >= variations)
      return std::nullopt;
    return *picture * variations + *variation;
  };
  if (options.output.destination == Destination::folder)
    for (int64_t last = variations - 1; last < plan.count; last += variations)
      check_length(plan.file_name(last), "rename it");
  plan.own_recipe = [recipe, variations](int64_t index) {
    Recipe own = recipe;
    const int64_t picture = index / variations;
    own.first = variation_stream(picture, recipe.first + index % variations);
    own.count = 1;
    own.pictures = {recipe.pictures[static_cast<size_t>(picture)]};
    own.sheet = {};
    return own;
  };
  plan.prepare_sheet = [&](std::vector<Image>& places) {
    const auto kept = 3 * static_cast<std::ptrdiff_t>(shape.width) * rows;
    for (size_t i = 0; i < pictures.size(); ++i) {
      const auto row = places.begin() + static_cast<std::ptrdiff_t>(i) * columns;
      *row = pictures[i];
      row[1] = row[2];  // nothing drawn
      for (auto place = row + 1; place != row + columns; ++place)
        std::copy_n(pictures[i].pixels.begin(), kept, place->pixels.begin());
    }
  };
  DrawnPictures drawn(options.output, std::move(plan));
  drawn.draw([&](const SampleEvents& events) {
    return complete(model, pictures, rows, sampling, events);
  });
  drawn.report(
      fmt::format("{} of {} kept of {}, {}", rows, plural(shape.height, "row"),
                  plural(std::ssize(pictures), "picture"), plural(variations, "variation")),
      sampling.threads);
}

}  // namespace

Action complete_command(CLI::App& command) {
  const auto options = std::make_shared<CompleteOptions>();
  command.add_option("IMAGE", options->pictures, "Pictures of the model's size")
      ->type_name("")
      ->required();
  add_number(command, "--keep-rows", options->keep_rows, {0, 1 << 20},
             "Keep this many upper rows, bit for bit")
      ->type_name("R");
  command
      .add_option("--mask", options->mask,
                  "Keep what is black in this picture, which must be whole upper rows")
      ->type_name("FILE");
  options->drawing.sampling.count = kDefaultVariations;
  add_number(command, "-n,--count", options->drawing.sampling.count, {1, kMostVariations},
             "Variations of each picture");
  command.add_flag("--resize", options->resize,
                   "Centre-crop and resample pictures of another size to the model's");
  add_drawing_options(command, options->drawing, "variation");
  add_output_options(command, options->output);
  command.parse_complete_callback([options] { check(*options); });
  return [options] { run(*options); };
}

}  // namespace combiner

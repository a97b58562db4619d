// Where drawn images go: a sheet, a folder or standard output, and on the way a preview.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "cli/recipe.h"
#include "cli/seldom.h"
#include "combiner/config.h"
#include "combiner/sampler.h"

namespace combiner {

struct OutputOptions {
  std::string output;
  std::optional<int> scale = std::nullopt;
  std::string preview = {};
  bool show = false;
  bool no_metadata = false;

  bool to_stdout() const { return output == "-"; }
  bool to_folder() const;
};

// Adds -o, --scale, --preview, --show and --no-metadata. `options.output` has the default.
void add_output_options(CLI::App& command, OutputOptions& options);

// Throws CLI::ValidationError if `count` images can't go there.
void check_output_options(const OutputOptions& options, int64_t count);

// The gap between the images of a sheet, in pixels.
inline constexpr int kSheetGap = 2;
// How much the sheet is magnified: as --scale says or, without it, so that an image has 96 pixels
// or more on its shorter side, if that many fit into one picture.
int sheet_scale(const OutputOptions& options, const SheetLayout& sheet, const ImageShape& shape);

// What is drawn and how it is laid out.
struct PicturePlan {
  ImageShape shape;
  int64_t first = 0;  // index of the first image to draw
  int64_t count = 0;  // images to draw
  int64_t rows = 0;   // to draw, of all images together
  size_t places = 0;  // that are used on the sheet
  Recipe recipe;      // of the sheet
  // An image by its index in events: its place on the sheet, its file's name in a folder, and its
  // recipe there.
  std::function<size_t(int64_t)> place = {};
  std::function<std::string(int64_t)> file_name = {};
  std::function<Recipe(int64_t)> own_recipe = {};
  // What is on the sheet besides, by place.
  std::function<void(std::vector<Image>& places)> prepare_sheet = {};
};

// Shows progress and previews while images are drawn, and writes them.
class DrawnPictures {
 public:
  // Checks that the output can be written, before the long computation. Throws Error if not.
  DrawnPictures(const OutputOptions& options, PicturePlan plan);

  // To be drawn with; stops when the program is interrupted.
  SampleEvents events();

  // Writes the sheet, if there is one, and the last preview. Call it when drawing has ended. Throws
  // Error if it ended before all images were finished.
  void finish(bool finished);

  // The sheet's images as drawn, magnified and framed, as it was written.
  const Image& sheet() const { return sheet_; }
  // Whether images go to a sheet or to standard output.
  bool has_sheet() const { return !options_.to_folder(); }
  double images_per_second() const;

 private:
  Image layout(int scale) const;
  std::vector<PngText> texts(Recipe recipe, bool finished) const;
  void preview();
  void show();
  void update_progress();

  const std::atomic<bool>& interrupted_;
  const OutputOptions options_;
  const PicturePlan plan_;
  std::vector<Image> places_;  // empty if neither a sheet nor a preview is asked for
  Image sheet_;
  int64_t rows_done_ = 0, images_done_ = 0;
  int shown_lines_ = 0;
  Seldom seldom_;
  Progress progress_;
  std::chrono::steady_clock::time_point start_;
  double seconds_ = 0;
};

}  // namespace combiner

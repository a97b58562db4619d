// Showing images while they are drawn, and writing them to a sheet or a folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "cli/output_options.h"
#include "cli/preview.h"
#include "cli/progress.h"
#include "cli/recipe.h"
#include "combiner/config.h"
#include "combiner/sampler.h"

namespace combiner {

// Where an interrupted run leaves its sheet: "samples.png" becomes "samples.partial.png".
std::filesystem::path partial_sheet(std::filesystem::path sheet);

// What is drawn and how it is laid out.
struct PicturePlan {
  ImageShape shape;
  int64_t first = 0;  // index of the first image to draw
  int64_t count = 0;  // images to draw
  size_t places = 0;  // that are used on the sheet
  Recipe recipe;      // of the sheet
  // An image by its index in events: its place on the sheet, its file's name in a folder, and its
  // recipe there.
  std::function<size_t(int64_t)> place = {};
  std::function<std::string(int64_t)> file_name = {};
  // The index of the only image whose file may have this name, if there is one.
  std::function<std::optional<int64_t>(const std::string&)> index_of = {};
  std::function<Recipe(int64_t)> own_recipe = {};
  // What is on the sheet besides, by place.
  std::function<void(std::vector<Image>& places)> prepare_sheet = {};
  // Files that must not be overwritten.
  std::vector<std::string> inputs = {};
};

class DrawnPictures {
 public:
  // Checks that the output can be written, before the long computation. Throws Error if not. Says
  // what else is in the folder.
  DrawnPictures(const OutputOptions& options, PicturePlan plan);
  DrawnPictures(const DrawnPictures&) = delete;
  DrawnPictures& operator=(const DrawnPictures&) = delete;

  // Draws with `work`, which returns false if it was interrupted, and writes the images, the sheet
  // and the last preview. If the work is interrupted or fails, what is drawn so far is kept, a
  // sheet beside its place; then throws Interrupted or Error, which says where it is.
  void draw(const std::function<bool(const SampleEvents& events)>& work);

  // The sheet as it was written.
  const Image& sheet() const { return sheet_; }

  // Prints what was drawn, such as "3 images", and how; or the same as JSON.
  void report(const std::string& drawn, int threads) const;

 private:
  Image layout(int scale) const;
  std::vector<PngText> texts(Recipe recipe, bool finished) const;
  void prepare_folder() const;
  std::filesystem::path place_of_unfinished() const;
  SampleEvents events();
  [[noreturn]] void fail(const std::string& why);
  std::string keep_unfinished();
  void write_sheet(bool finished);
  void update_progress();

  const std::atomic<bool>& interrupted_;
  const OutputOptions options_;
  const PicturePlan plan_;
  std::vector<Image> places_;  // empty if neither a sheet nor a preview is asked for
  Image sheet_;
  std::optional<OutputFile> sheet_file_;
  std::filesystem::path unfinished_sheet_;
  std::optional<Preview> preview_;
  int64_t rows_done_ = 0, images_done_ = 0;
  Progress progress_;
  double seconds_ = 0;
};

}  // namespace combiner

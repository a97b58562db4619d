#include "cli/output_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/printable.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "image/compose.h"
#include "image/contact_sheet.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int kShownSide = 96;

Destination destination_of(const std::string& output) {
  std::error_code ignored;  // if the path can't be examined, writing it fails with a message
  if (output.ends_with('/') || fs::is_directory(output, ignored)) return Destination::folder;
  if (is_standard_output(output)) return Destination::standard_output;
  if (ends_in_png(output)) return Destination::sheet;
  throw CLI::ValidationError(
      "--output",
      fmt::format("{} neither ends in .png (a sheet) nor in / (a folder)", typed(output)));
}

// Where a file or a folder is or will be.
fs::path place(const std::string& path) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  return canonical.has_filename() ? canonical : canonical.parent_path();
}

}  // namespace

void add_output_options(CLI::App& command, OutputOptions& options) {
  command
      .add_option("-o,--output", options.output,
                  "A sheet of all images (.png, or - for standard output), or a folder (ending in "
                  "/ or there already) for a PNG of each, written when it is done")
      ->type_name("FILE.png|DIR/")
      ->capture_default_str();
  add_number(command, "--scale", options.scale, {1, kMostScale},
             fmt::format("The sheet's magnification, 1 to {} [so that an image has {} pixels or "
                         "more]",
                         kMostScale, kShownSide))
      ->type_name("S");
  command
      .add_option("--preview", options.preview, "Keep a sheet of what is drawn so far in this file")
      ->type_name("FILE.png");
  command.add_flag("--show", options.show,
                   "Show what is drawn so far on a terminal with 24-bit colours");
  add_no_metadata_option(command, options.no_metadata);
  command.add_flag("--json", options.json, "Print JSON");
}

void check_output_options(OutputOptions& options) {
  options.destination = destination_of(options.output);
  if (options.destination == Destination::standard_output)
    check_standard_output("a PNG file", options.json);
  if (options.preview.empty()) return;
  if (!ends_in_png(options.preview))
    throw CLI::ValidationError("--preview", options.preview + " does not end in .png");
  std::error_code ignored;  // a file that is not there is neither
  if (fs::exists(options.preview, ignored) && !fs::is_regular_file(options.preview, ignored))
    throw CLI::ValidationError("--preview", options.preview + " is not a regular file");
  const fs::path preview = place(options.preview), output = place(options.output);
  if (preview == output || preview.parent_path() == output)
    throw CLI::ValidationError("--preview",
                               fmt::format("{} is, or is in, the --output {}; choose another file",
                                           options.preview, options.output));
}

int sheet_scale(const OutputOptions& options, const SheetLayout& sheet, const ImageShape& shape) {
  if (options.scale) return *options.scale;
  int scale = std::min(kMostScale, scale_to(kShownSide, shape.width, shape.height));
  while (scale > 1 && !contact_sheet_fits(shape.width, shape.height, sheet.rows, sheet.columns,
                                          sheet.gap, scale))
    --scale;
  return scale;
}

}  // namespace combiner

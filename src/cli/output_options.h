// Where drawn images go.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/recipe.h"
#include "combiner/config.h"

namespace combiner {

enum class Destination { sheet, folder, standard_output };  // the last gets a sheet, too

struct OutputOptions {
  std::string output;
  std::optional<int> scale = std::nullopt;
  std::string preview = {};
  bool show = false;
  bool no_metadata = false;
  bool json = false;  // what is printed at the end
  // Set by check_output_options().
  Destination destination = Destination::sheet;
};

// Adds -o, --scale, --preview, --show, --no-metadata and --json. `options.output` has the default.
void add_output_options(CLI::App& command, OutputOptions& options);

// Decides the destination. Throws CLI::ValidationError if what was given contradicts itself.
void check_output_options(OutputOptions& options);

// The gap between the images of a sheet, in pixels.
inline constexpr int kSheetGap = 2;
// How much the sheet is magnified: as --scale says or, without it, so that an image has 96 pixels
// or more on its longer side, if that many fit into one picture.
int sheet_scale(const OutputOptions& options, const SheetLayout& sheet, const ImageShape& shape);

}  // namespace combiner

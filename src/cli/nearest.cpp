// combiner nearest: finds the training images nearest to pictures, to see whether a model copies.

#include "neighbours/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/plural.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/measured_images.h"
#include "cli/nearest_sheet.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/rate_text.h"
#include "cli/recipe.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "dataset/limit.h"
#include "image/compose.h"
#include "image/contact_sheet.h"
#include "image/read_image.h"
#include "image/write_png.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int kShownSide = 128;  // pixels of an image's longer side on the sheet, at least
constexpr int kMostNeighbours = 1000;

struct NearestCommandOptions {
  std::vector<std::string> pictures;
  ImagesOptions images;
  std::string output = "nearest.png";
  std::optional<int> scale;
  NearestOptions search;
  bool json = false;
  bool no_metadata = false;
};

// Throws CLI::ValidationError if the output would replace an input or become one.
void check_output(const NearestCommandOptions& options) {
  if (!ends_in_png(options.output))
    throw CLI::ValidationError("--output", fmt::format("{} doesn't end in .png", options.output));
  for (const std::string& picture : options.pictures)
    check_no_input("--output", options.output, picture);
  check_no_input("--output", options.output, options.images.data);
}

// Reads the pictures. Throws Error if they are not of one size.
std::vector<Image> read_pictures(const std::vector<std::string>& paths) {
  std::vector<Image> pictures;
  for (const std::string& path : paths) {
    const Image& picture = pictures.emplace_back(read_image(path));
    const Image& first = pictures.front();
    if (picture.width != first.width || picture.height != first.height)
      throw Error(fmt::format("{}: has {}x{} pixels; expected {}x{}, as {} has", path,
                              picture.width, picture.height, first.width, first.height,
                              paths.front()));
  }
  return pictures;
}

std::vector<std::string> file_names(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const std::string& path : paths) names.push_back(fs::path(path).filename().string());
  return names;
}

// The sheet to draw. None if it would be too large, which is said: the table and JSON are of use
// without it. Checks before the search that it can be written.
std::optional<NearestSheet> plan_sheet(const NearestCommandOptions& options,
                                       std::span<const Image> pictures,
                                       std::span<const std::string> names, int64_t images) {
  const auto& [width, height, pixels] = pictures.front();
  const int scale =
      options.scale.value_or(std::min(scale_to(kShownSide, width, height), kMostScale));
  const NearestSheet sheet(pictures, names, options.search.count,
                           std::min(images, options.search.limit.value_or(images)), scale);
  if (sheet.fits()) {
    OutputFile(options.output);
    return sheet;
  }
  say("{}: is not drawn: {} would make a sheet of {}x{} pixels; expected at most {} in all; "
      "give fewer pictures{}\n",
      options.output, plural(std::ssize(pictures), "picture"), sheet.width(), sheet.height(),
      kMaxImageBytes / 3, options.scale ? " or a smaller --scale" : "");
  return std::nullopt;
}

void print_table(const NearestCommandOptions& options, const NearestImages& nearest,
                 const Dataset& images) {
  for (size_t i = 0; i < options.pictures.size(); ++i) {
    put("{}\n", options.pictures[i]);
    const auto print = [&](const char* heading, const std::vector<Neighbour>& neighbours) {
      put("  {}\n", heading);
      for (size_t rank = 0; rank < neighbours.size(); ++rank) {
        const Neighbour& neighbour = neighbours[rank];
        put("  {:3}  {:6.2f}  #{:<8}{:10}{}{}\n", rank + 1, neighbour.distance, neighbour.index,
            neighbour.mirrored ? "mirrored" : "", printable(images.describe(neighbour.index)),
            neighbour.distance == 0 ? " (identical)" : "");
      }
    };
    print("in pixels", nearest.of_pictures[i].in_pixels);
    print("in means of 4x4 pixels", nearest.of_pictures[i].in_means);
  }
}

nlohmann::ordered_json json_of(const NearestCommandOptions& options, const NearestImages& nearest,
                               const Dataset& images, double images_per_second) {
  using Json = nlohmann::ordered_json;
  const auto list_of = [&](const std::vector<Neighbour>& neighbours) {
    Json list = Json::array();
    for (const Neighbour& neighbour : neighbours)
      list.push_back({{"distance", neighbour.distance},
                      {"index", neighbour.index},
                      {"mirrored", neighbour.mirrored},
                      {"name", images.describe(neighbour.index)}});
    return list;
  };
  Json pictures = Json::array();
  for (size_t i = 0; i < options.pictures.size(); ++i)
    pictures.push_back({{"picture", options.pictures[i]},
                        {"in_pixels", list_of(nearest.of_pictures[i].in_pixels)},
                        {"in_means", list_of(nearest.of_pictures[i].in_means)}});
  return {{"pictures", pictures},
          {"images", nearest.searched},
          {"images_per_second", images_per_second},
          {"threads", options.search.threads},
          {"data", options.images.data},
          {"split", name(options.images.split)}};
}

// `drawn` is whether there will be a sheet.
void print(const NearestCommandOptions& options, const NearestImages& nearest,
           const Dataset& images, double seconds, const SkippedImages& skipped, bool drawn) {
  const double images_per_second = static_cast<double>(nearest.searched) / seconds;
  if (options.json) {
    nlohmann::ordered_json json = json_of(options, nearest, images, images_per_second);
    if (options.images.skip_bad) json["left_out"] = skipped.json();
    json["output"] = drawn ? nlohmann::ordered_json(options.output) : nullptr;
    print_json(json);
    return;
  }
  print_table(options, nearest, images);
  put("{}the nearest of {}, {} images/s ({})\n", drawn ? options.output + ": " : "",
      plural(nearest.searched, "image"), rate_text(images_per_second),
      plural(options.search.threads, "thread"));
}

// What the sheet says of how it was made.
std::vector<PngText> texts_of(const NearestCommandOptions& options,
                              const std::vector<std::string>& names) {
  if (options.no_metadata) return {};
  return made_by_texts({{"program", program_name()},
                        {"command", "nearest"},
                        {"pictures", names},
                        {"data", last_name(options.images.data)},
                        {"split", name(options.images.split)},
                        {"neighbours", options.search.count}});
}

void run(NearestCommandOptions options) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  options.search.limit = options.images.limit;
  const std::vector<Image> pictures = read_pictures(options.pictures);
  const std::vector<std::string> names = file_names(options.pictures);
  const auto& [width, height, pixels] = pictures.front();
  SkippedImages skipped;
  const std::unique_ptr<Dataset> images =
      open_images(options.images, {.height = height, .width = width, .channels = 3},
                  options.search.threads, interrupted, skipped);
  const std::optional<NearestSheet> sheet = plan_sheet(options, pictures, names, images->size());

  Progress progress("images");
  MeasuredImages measured(limited_size(*images, options.search.limit), options.images.skip_bad,
                          skipped, progress, interrupted);
  options.search.cancel = measured.cancel();
  options.search.on_bad = measured.on_bad();
  progress.update(0, 0);
  const auto start = std::chrono::steady_clock::now();
  const NearestImages nearest =
      find_nearest(pictures, *images, options.search, [&](int64_t done, int64_t count) {
        progress.update(done, static_cast<double>(done) / static_cast<double>(count));
      });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  progress.clear();

  measured.require_any(nearest.searched);
  const auto draw_sheet = [&] {
    if (sheet) write_png(options.output, sheet->draw(nearest, *images), texts_of(options, names));
  };
  try {  // the figures first: they are of use without the sheet
    print(options, nearest, *images, seconds.count(), skipped, sheet.has_value());
  } catch (...) {  // nobody reads them
    draw_sheet();
    throw;
  }
  draw_sheet();
  measured.require_all(nearest.searched);
}

}  // namespace

Action nearest_command(CLI::App& command) {
  const auto options = std::make_shared<NearestCommandOptions>();
  command
      .add_option("IMAGE", options->pictures,
                  "Pictures of one size, such as those that combiner sample draws")
      ->type_name("")
      ->required();
  add_images_options(command, options->images, Split::train)->required();
  add_number(command, "-k,--neighbours", options->search.count, {1, kMostNeighbours},
             fmt::format("Images to find for each picture, 1 to {}, by each of two distances: "
                         "between pixels and between means of 4x4 pixels; the sheet shows up to {}",
                         kMostNeighbours, kMostNeighboursShown))
      ->type_name("K");
  command.add_option("-o,--output", options->output, "Sheet with the pictures and what was found")
      ->type_name("FILE.png")
      ->capture_default_str();
  add_number(command, "--scale", options->scale, {1, kMostScale},
             fmt::format("The sheet's magnification, 1 to {} [so that the longer side of an image "
                         "has {} pixels or more]",
                         kMostScale, kShownSide))
      ->type_name("S");
  add_no_metadata_option(command, options->no_metadata);
  add_threads_option(command, options->search.threads);
  command.add_flag("--json", options->json, "Print JSON");
  command.parse_complete_callback([options] { check_output(*options); });
  return [options] { run(*options); };
}

}  // namespace combiner

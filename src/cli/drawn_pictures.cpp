#include "cli/drawn_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/output_file.h"
#include "cli/half_blocks.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "combiner/error.h"
#include "image/contact_sheet.h"
#include "image/write_png.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostOnSheet = 1 << 20;
constexpr int kLeastSideOnSheet = 96;  // in pixels, of an image without --scale
constexpr uint8_t kNotDrawn = 224;     // a light grey

bool ends_in_png(const std::string& path) { return CLI::detail::to_lower(path).ends_with(".png"); }

Image not_drawn(const ImageShape& shape) {
  return {shape.width, shape.height,
          std::vector<uint8_t>(size_t{3} * shape.width * shape.height, kNotDrawn)};
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", folder.string(), error.message()));
}

void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace

bool OutputOptions::to_folder() const {
  std::error_code ignored;  // if the path can't be examined, writing it fails with a message
  return output.ends_with('/') || fs::is_directory(output, ignored);
}

void add_output_options(CLI::App& command, OutputOptions& options) {
  command
      .add_option("-o,--output", options.output,
                  "A sheet of all images (.png, or - for standard output), or a folder (ending in "
                  "/ or there already) for a PNG of each, written when it is done")
      ->type_name("FILE.png|DIR/")
      ->capture_default_str();
  command
      .add_option("--scale", options.scale,
                  fmt::format("The sheet's magnification [so that an image has {} pixels or more]",
                              kLeastSideOnSheet))
      ->type_name("S")
      ->check(CLI::Range(1, 64));
  command
      .add_option("--preview", options.preview, "Keep a sheet of what is drawn so far in this file")
      ->type_name("FILE.png");
  command.add_flag("--show", options.show,
                   "Show what is drawn so far on a terminal with 24-bit colours");
  add_no_metadata_option(command, options.no_metadata);
}

void check_output_options(const OutputOptions& options, int64_t count) {
  const auto fail = [](const char* option, std::string reason) {
    throw CLI::ValidationError(option, reason);
  };
  const bool to_sheet = !options.to_folder();
  if (to_sheet && !options.to_stdout() && !ends_in_png(options.output))
    fail("--output",
         fmt::format("{} neither ends in .png (a sheet) nor in / (a folder)", options.output));
  if (!options.preview.empty() && !ends_in_png(options.preview))
    fail("--preview", fmt::format("{} does not end in .png", options.preview));
  if (count > kMostOnSheet && to_sheet)
    fail("--count", fmt::format("{} images are too many for a sheet; let --output be a folder, "
                                "ending in /",
                                count));
  if (count > kMostOnSheet && (!options.preview.empty() || options.show))
    fail("--count", fmt::format("{} images are too many to preview", count));
}

int sheet_scale(const OutputOptions& options, const SheetLayout& sheet, const ImageShape& shape) {
  if (options.scale) return *options.scale;
  const int side = std::min(shape.width, shape.height);
  int scale = std::max(1, (kLeastSideOnSheet + side - 1) / side);
  const auto fits = [&] {
    const double width = 1.0 * sheet.columns * (shape.width * scale + sheet.gap);
    const double height = 1.0 * sheet.rows * (shape.height * scale + sheet.gap);
    return 3 * width * height < 0.99 * kMaxImageBytes;  // leaves room for the last gaps
  };
  while (scale > 1 && !fits()) --scale;
  return scale;
}

DrawnPictures::DrawnPictures(const OutputOptions& options, PicturePlan plan)
    : interrupted_(catch_interrupts()),
      options_(options),
      plan_(std::move(plan)),
      progress_("images"),
      start_(std::chrono::steady_clock::now()) {
  if (options.show && !why_no_pictures().empty())
    fmt::print(stderr, "--show shows nothing: {}\n", why_no_pictures());
  if (has_sheet() || !options.preview.empty() || options.show) {
    places_.resize(plan_.places);
    for (int64_t i = 0; i < plan_.count; ++i)
      places_[plan_.place(plan_.first + i)] = not_drawn(plan_.shape);
    if (plan_.prepare_sheet) plan_.prepare_sheet(places_);
    layout(plan_.recipe.sheet.scale);
  }
  if (options.to_folder()) {
    make_folder(options.output);
    OutputFile(fs::path(options.output) / plan_.file_name(plan_.first));
  } else if (!options.to_stdout()) {
    OutputFile(options.output);
  }
  if (!options.preview.empty()) OutputFile(options.preview);
  update_progress();
}

SampleEvents DrawnPictures::events() {
  start_ = std::chrono::steady_clock::now();
  SampleEvents events;
  events.cancelled = [this] { return interrupted_.load(); };
  events.row_done = [this](int64_t index, int row, std::span<const uint8_t> pixels) {
    ++rows_done_;
    if (!places_.empty())
      std::ranges::copy(pixels, places_[plan_.place(index)].pixels.begin() +
                                    static_cast<std::ptrdiff_t>(row) * std::ssize(pixels));
    seldom_.run([this] {
      if (!options_.preview.empty()) preview();
      if (options_.show) show();
    });
    update_progress();
  };
  events.image_done = [this](int64_t index, const Image& image) {
    if (options_.to_folder())
      write_png(fs::path(options_.output) / plan_.file_name(index), image,
                texts(plan_.own_recipe(index), true));
    ++images_done_;
    update_progress();
  };
  return events;
}

void DrawnPictures::finish(bool finished) {
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (options_.show) show();
  progress_.clear();
  if (!options_.preview.empty() && options_.to_folder()) preview();
  const std::string done =
      fmt::format("interrupted: {} of {} images are ", images_done_, plan_.count);
  if (options_.to_folder()) {
    if (!finished) throw Error(done + "in " + options_.output);
    return;
  }
  if (!finished && rows_done_ == 0) throw Error("interrupted: no sheet is written");
  sheet_ = layout(plan_.recipe.sheet.scale);
  const std::vector<std::byte> png = encode_png(sheet_, texts(plan_.recipe, finished));
  if (!options_.preview.empty()) write_file(options_.preview, png);
  if (options_.to_stdout())
    std::fwrite(png.data(), 1, png.size(), stdout);  // the program checks when it flushes
  else
    write_file(options_.output, png);
  if (!finished) throw Error(done + "finished on " + options_.output);
}

double DrawnPictures::images_per_second() const {
  return static_cast<double>(plan_.count) / seconds_;
}

Image DrawnPictures::layout(int scale) const {
  const SheetLayout& sheet = plan_.recipe.sheet;
  return contact_sheet(places_, sheet.rows, sheet.columns, sheet.gap, scale);
}

std::vector<PngText> DrawnPictures::texts(Recipe recipe, bool finished) const {
  recipe.unfinished = !finished;
  return options_.no_metadata ? std::vector<PngText>() : made_by_texts(to_json(recipe));
}

void DrawnPictures::preview() {
  write_png(options_.preview, layout(plan_.recipe.sheet.scale),
            texts(plan_.recipe, images_done_ == plan_.count));
}

// Draws over what was shown before.
void DrawnPictures::show() {
  if (!why_no_pictures().empty()) return;
  const TerminalSize size = terminal_size();
  constexpr int kOtherLines = 2;  // the progress line, and one that stays empty above it
  const std::string text = half_blocks(layout(1), size.columns - 1, size.lines - kOtherLines);
  progress_.clear();
  if (shown_lines_ > 0) fmt::print(stderr, "\x1b[{}A", shown_lines_);
  fmt::print(stderr, "{}", text);
  shown_lines_ = static_cast<int>(std::ranges::count(text, '\n'));
}

void DrawnPictures::update_progress() {
  progress_.update(images_done_, static_cast<double>(rows_done_) / static_cast<double>(plan_.rows));
}

}  // namespace combiner

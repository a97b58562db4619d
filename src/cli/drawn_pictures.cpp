#include "cli/drawn_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <new>
#include <utility>

#include "base/plural.h"
#include "cli/interrupt.h"
#include "cli/paths.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/rate_text.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "image/contact_sheet.h"
#include "image/write_png.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t kNotDrawn = 224;  // a light grey

Image not_drawn(const ImageShape& shape) {
  return {shape.width, shape.height,
          std::vector<uint8_t>(size_t{3} * shape.width * shape.height, kNotDrawn)};
}

}  // namespace

fs::path partial_sheet(fs::path sheet) {
  const fs::path extension = sheet.extension();
  return sheet.replace_extension(".partial") += extension;
}

DrawnPictures::DrawnPictures(const OutputOptions& options, PicturePlan plan)
    : interrupted_(catch_interrupts()),
      options_(options),
      plan_(std::move(plan)),
      progress_("images") {
  const bool to_folder = options.destination == Destination::folder;
  if (!to_folder || Preview::wanted(options)) {
    const SheetLayout& sheet = plan_.recipe.sheet;
    if (!contact_sheet_fits(plan_.shape.width, plan_.shape.height, sheet.rows, sheet.columns,
                            sheet.gap, sheet.scale))
      throw Error(fmt::format("a sheet of {} of {} of {}x{} pixels, magnified {}, is too large{}",
                              plural(sheet.rows, "row"), plural(sheet.columns, "image"),
                              plan_.shape.width, plan_.shape.height, plural(sheet.scale, "time"),
                              to_folder ? "; leave out --preview and --show"
                                        : "; let --output be a folder, ending in /"));
    places_.resize(plan_.places);
    for (int64_t i = 0; i < plan_.count; ++i)
      places_[plan_.place(plan_.first + i)] = not_drawn(plan_.shape);
    if (plan_.prepare_sheet) plan_.prepare_sheet(places_);
  }
  if (to_folder) prepare_folder();
  if (options.destination == Destination::sheet) {
    sheet_file_.emplace(options.output);
    unfinished_sheet_ = place_of_unfinished();
  }
  preview_.emplace(
      options, [this](bool magnified) { return layout(magnified ? plan_.recipe.sheet.scale : 1); },
      [this] { return texts(plan_.recipe, images_done_ == plan_.count); });
  update_progress();
}

// Makes the folder and checks that the images can be written there.
void DrawnPictures::prepare_folder() const {
  const fs::path folder = options_.output;
  const bool is_new = make_folder(folder);
  OutputFile can_be_written(folder / plan_.file_name(plan_.first));
  if (is_new) return;

  const auto is_ours = [&](const std::string& name) {
    const std::optional<int64_t> index = plan_.index_of(name);
    return index && *index >= plan_.first && *index - plan_.first < plan_.count &&
           plan_.file_name(*index) == name;
  };
  std::error_code ignored;  // what can't be examined can't be read
  for (const std::string& name : names_in(folder)) {
    if (!is_ours(name)) continue;
    for (const std::string& input : plan_.inputs)
      if (fs::equivalent(folder / name, input, ignored))
        throw Error(fmt::format("{} would be overwritten, but is read as {}; choose another folder",
                                (folder / name).string(), input));
  }
  say_others(folder, is_ours);
}

// Beside the sheet or, where that can't be written, on the sheet itself unless that would cost an
// older one.
fs::path DrawnPictures::place_of_unfinished() const {
  const fs::path partial = partial_sheet(options_.output);
  try {
    OutputFile can_be_written(partial);
    return partial;
  } catch (const Error& error) {
    std::error_code ignored;  // what can't be examined is no older sheet
    if (fs::is_regular_file(options_.output, ignored) && !fs::is_empty(options_.output, ignored))
      throw Error(
          fmt::format("{}; a run that is interrupted leaves its sheet there, so as to keep "
                      "the older one; choose another --output",
                      error.what()));
    return options_.output;
  }
}

void DrawnPictures::draw(const std::function<bool(const SampleEvents& events)>& work) {
  const auto start = std::chrono::steady_clock::now();
  bool finished = false;
  try {
    finished = work(events());
  } catch (const std::bad_alloc&) {
    fail("not enough memory");
  } catch (const std::exception& error) {
    fail(error.what());
  }
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress_.clear();
  const std::string kept = finished ? "" : keep_unfinished();
  if (finished && options_.destination != Destination::folder) write_sheet(true);
  preview_->refresh(progress_);
  if (!finished) throw Interrupted("interrupted: " + (kept.empty() ? "no sheet is written" : kept));
}

SampleEvents DrawnPictures::events() {
  SampleEvents events;
  events.cancel = cancel_if(interrupted_);
  events.row_done = [this](int64_t index, int row, std::span<const uint8_t> pixels) {
    ++rows_done_;
    if (!places_.empty())
      std::ranges::copy(pixels, places_[plan_.place(index)].pixels.begin() +
                                    static_cast<std::ptrdiff_t>(row) * std::ssize(pixels));
    preview_->update(progress_);
    update_progress();
  };
  events.image_done = [this](int64_t index, const Image& image) {
    if (options_.destination == Destination::folder)
      write_png(fs::path(options_.output) / plan_.file_name(index), image,
                texts(plan_.own_recipe(index), true));
    ++images_done_;
    update_progress();
  };
  return events;
}

// Throws what was caught, with what is kept of the images.
void DrawnPictures::fail(const std::string& why) {
  std::string kept;
  try {
    progress_.clear();
    kept = keep_unfinished();
    preview_->refresh(progress_);
  } catch (const std::exception&) {
    // What ended the drawing says more, and may be the cause of this.
  }
  if (kept.empty()) throw;
  throw Error(fmt::format("{}; {}", why, kept));
}

// Writes what is drawn to the sheet, if there is one. Says where the finished images are; empty if
// they are lost.
std::string DrawnPictures::keep_unfinished() {
  const bool to_sheet = options_.destination == Destination::sheet;
  if (options_.destination == Destination::standard_output || (to_sheet && rows_done_ == 0))
    return {};
  if (to_sheet && unfinished_sheet_ == options_.output)
    write_sheet(false);
  else if (to_sheet)
    write_png(unfinished_sheet_, layout(plan_.recipe.sheet.scale), texts(plan_.recipe, false));
  return fmt::format("{} of {} {} {} {}", images_done_, plural(plan_.count, "image"),
                     plan_.count == 1 ? "is" : "are", to_sheet ? "finished on" : "in",
                     to_sheet ? unfinished_sheet_.string() : options_.output);
}

void DrawnPictures::write_sheet(bool finished) {
  sheet_ = layout(plan_.recipe.sheet.scale);
  const std::vector<std::byte> png = encode_png(sheet_, texts(plan_.recipe, finished));
  if (sheet_file_) {
    sheet_file_->write(png);
    sheet_file_->commit();
  } else {
    write_output(png);
  }
}

void DrawnPictures::report(const std::string& drawn, int threads) const {
  const Recipe& recipe = plan_.recipe;
  const double images_per_second = static_cast<double>(plan_.count) / seconds_;
  if (options_.json) {
    nlohmann::ordered_json json = {{"output", options_.output}};
    json.update(to_json(recipe));
    json.erase("sheet");
    json["instructions"] = instructions_in_use();
    json["threads"] = threads;
    json["images_per_second"] = images_per_second;
    return print_json(json);
  }
  const std::string line =
      fmt::format("{}: {} of seed {}, {} images/s ({}; {})\n", options_.output, drawn, recipe.seed,
                  rate_text(images_per_second), name(recipe.precision), instructions_in_use());
  if (options_.destination == Destination::standard_output)
    say("{}", line);  // the sheet is there
  else
    put("{}", line);
}

Image DrawnPictures::layout(int scale) const {
  const SheetLayout& sheet = plan_.recipe.sheet;
  return contact_sheet(places_, sheet.rows, sheet.columns, sheet.gap, scale);
}

std::vector<PngText> DrawnPictures::texts(Recipe recipe, bool finished) const {
  recipe.unfinished = !finished;
  return options_.no_metadata ? std::vector<PngText>() : made_by_texts(to_json(recipe));
}

void DrawnPictures::update_progress() {
  const int64_t rows = plan_.count * (plan_.shape.height - plan_.recipe.keep_rows);
  progress_.update(images_done_, static_cast<double>(rows_done_) / static_cast<double>(rows));
}

}  // namespace combiner

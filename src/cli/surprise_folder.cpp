#include "cli/surprise_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "base/printable.h"
#include "cli/paths.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "combiner/error.h"
#include "combiner/image.h"
#include "dataset/npy_header.h"
#include "image/compose.h"
#include "image/contact_sheet.h"
#include "image/label.h"
#include "image/write_png.h"
#include "likelihood/image_likelihood.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMapPrefix = "map-";
constexpr int64_t kChannels = 3;
constexpr int64_t kMostExtremes = 8;
constexpr int kShownSide = 128;  // pixels of the longer side of an extreme image, at least
constexpr int kGap = 12;

// The number after kMapPrefix.
std::optional<int64_t> index_in(std::string_view map_name) {
  if (!map_name.starts_with(kMapPrefix)) return std::nullopt;
  map_name.remove_prefix(kMapPrefix.size());
  return leading_number(map_name);
}

// A row of images with a heading.
Image row_of(std::span<const ImageLikelihood> evaluated, const std::string& heading,
             const Dataset& images) {
  std::vector<Image> pictures;
  std::vector<std::string> captions;
  for (const ImageLikelihood& image : evaluated) {
    Image picture = white_image(images.width(), images.height());
    images.read(image.index, picture.pixels);
    pictures.push_back(std::move(picture));
    captions.push_back(fmt::format("#{}\n{:.4f} bits/dim", image.index, image.bits_per_dim));
  }
  const Image row = contact_sheet(pictures, 1, static_cast<int>(pictures.size()), kGap,
                                  scale_to(kShownSide, images.width(), images.height()), captions);
  return with_heading(heading, row, kGap);
}

}  // namespace

SurpriseFolder::SurpriseFolder(fs::path path, int width, int height, Texts texts)
    : path_(std::move(path)),
      width_(width),
      height_(height),
      map_(width, height),
      texts_(std::move(texts)) {
  make_folder(path_);
  for (const auto& file : {map_file(0), bits_file(0), extremes_file()}) OutputFile{file};
}

int64_t SurpriseFolder::maps_from(int64_t index) const {
  int64_t count = 0;
  for (const std::string& name : names_in(path_)) {
    const std::optional<int64_t> found = index_in(name);
    count += found && *found >= index && path_ / name == map_file(*found);
  }
  return count;
}

void SurpriseFolder::write(int64_t index, std::span<const uint8_t> pixels,
                           std::span<const float> nats) {
  const auto failed = [this] {
    const std::lock_guard lock(mutex_);
    return failure_ != nullptr;
  };
  if (failed()) return;
  try {
    write_files(index, pixels, nats);
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = std::current_exception();
    // At once, because finish() may come hours later. The progress may have a line of its own.
    say("{}no more maps: {}\n", on_terminal() ? "\n" : "", printable_lines(error.what()));
  }
}

void SurpriseFolder::write_files(int64_t index, std::span<const uint8_t> pixels,
                                 std::span<const float> nats) const {
  std::vector<float> bits(nats.size());
  std::ranges::transform(nats, bits.begin(), to_bits);
  write_png(map_file(index), map_.draw({width_, height_, {pixels.begin(), pixels.end()}}, bits),
            texts_(index));
  OutputFile numbers(bits_file(index));
  numbers.write(make_npy_header("<f4", std::array<int64_t, 3>{height_, width_, kChannels}));
  numbers.write(std::as_bytes(std::span(bits)));
  numbers.commit();
}

void SurpriseFolder::finish(const Likelihood& likelihood, const Dataset& images) const {
  if (failure_) std::rethrow_exception(failure_);
  std::vector<ImageLikelihood> sorted = likelihood.images;
  if (sorted.empty()) return;
  std::ranges::stable_sort(sorted, {}, &ImageLikelihood::bits_per_dim);
  // Few images are divided among the rows; a single one is in both.
  const auto count = static_cast<int64_t>(sorted.size());
  const auto shown = static_cast<size_t>(std::clamp<int64_t>(count / 2, 1, kMostExtremes));
  const std::span least = std::span(sorted).first(shown);
  std::vector<ImageLikelihood> most(sorted.rbegin(), sorted.rbegin() + static_cast<int64_t>(shown));
  const std::array rows = {row_of(most, "most surprising", images),
                           row_of(least, "least surprising", images)};
  write_png(extremes_file(), stacked(rows, 0), texts_(std::nullopt));
}

fs::path SurpriseFolder::map_file(int64_t index) const {
  return path_ / fmt::format("{}{:05}.png", kMapPrefix, index);
}

fs::path SurpriseFolder::bits_file(int64_t index) const {
  return path_ / fmt::format("bits-{:05}.npy", index);
}

fs::path SurpriseFolder::extremes_file() const { return path_ / "extremes.png"; }

}  // namespace combiner

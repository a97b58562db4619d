#include "cli/surprise_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numbers>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "combiner/error.h"
#include "combiner/image.h"
#include "dataset/npy_header.h"
#include "image/compose.h"
#include "image/contact_sheet.h"
#include "image/label.h"
#include "image/surprise_map.h"
#include "image/write_png.h"

namespace combiner {
namespace {

constexpr int64_t kChannels = 3;
constexpr int64_t kMostExtremes = 8;
constexpr int kShownSide = 128;  // pixels of an image on the sheet of extremes, at least
constexpr int kGap = 12;

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

SurpriseFolder::SurpriseFolder(std::filesystem::path path, int width, int height, Texts texts)
    : path_(std::move(path)), width_(width), height_(height), texts_(std::move(texts)) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", path_.string(), error.message()));
  OutputFile(file(0, "png"));  // can be made
}

void SurpriseFolder::write(int64_t index, std::span<const uint8_t> pixels,
                           std::span<const float> nats) const {
  std::vector<float> bits(nats.begin(), nats.end());
  for (float& value : bits) value /= std::numbers::ln2_v<float>;
  write_png(file(index, "png"),
            surprise_map({width_, height_, {pixels.begin(), pixels.end()}}, bits), texts_(index));
  OutputFile numbers(file(index, "npy"));
  numbers.write(make_npy_header("<f4", std::array<int64_t, 3>{height_, width_, kChannels}));
  numbers.write(std::as_bytes(std::span(bits)));
  numbers.commit();
}

void SurpriseFolder::write_extremes(const Likelihood& likelihood, const Dataset& images) const {
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
  write_png(path_ / "extremes.png", stacked(rows, 0), texts_(std::nullopt));
}

std::filesystem::path SurpriseFolder::file(int64_t index, const char* extension) const {
  return path_ / fmt::format("{:05}.{}", index, extension);
}

}  // namespace combiner

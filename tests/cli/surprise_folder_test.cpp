#include "cli/surprise_folder.h"

#include <algorithm>
#include <array>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "image/label.h"
#include "image/read_image.h"
#include "image/stderr_of.h"
#include "memory_dataset.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// Images of one pixel, whose level is their index.
MemoryDataset levels(int count) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < count; ++i) pixels.insert(pixels.end(), 3, static_cast<uint8_t>(i));
  return MemoryDataset(1, 1, pixels);
}

// Image i of `count` has (7 i mod count) + 1 bits/dim.
Likelihood shuffled(int count) {
  Likelihood likelihood;
  for (int i = 0; i < count; ++i)
    likelihood.images.push_back({.index = i, .nats = {}, .bits_per_dim = 7 * i % count + 1.0});
  return likelihood;
}

// One image for write().
constexpr std::array<uint8_t, 3> kPixels = {1, 2, 3};
constexpr std::array<float, 3> kNats = {1, 2, 3};

// The levels of the magnified images in the sheet's rows, from left to right.
std::vector<int> levels_in(const Image& sheet, int row) {
  constexpr int kSide = 128, kGap = 12, kHeading = kTextLine, kCaption = 4 + 2 * kTextLine;
  const int y = row * (kGap + kHeading + kGap + kSide + kCaption + kGap) + kGap + kHeading + kGap;
  std::vector<int> found;
  for (int x = kGap; x + kSide <= sheet.width; x += kSide + kGap)
    found.push_back(sheet.pixels[static_cast<size_t>(3 * ((y + 5) * sheet.width + x + 5))]);
  return found;
}

std::vector<PngText> no_texts(std::optional<int64_t>) { return {}; }

TEST_CASE("surprise folder: extremes are the images with the most and the fewest bits/dim") {
  const TempFolder folder;
  SurpriseFolder maps(folder.path(), 1, 1, no_texts);
  const auto rows = [&](int count) {
    maps.finish(shuffled(count), levels(count));
    const Image sheet = read_image(folder / "extremes.png");
    return std::array{levels_in(sheet, 0), levels_in(sheet, 1)};
  };
  const auto [most, least] = rows(20);
  CHECK(most == std::vector<int>{17, 14, 11, 8, 5, 2, 19, 16});
  CHECK(least == std::vector<int>{0, 3, 6, 9, 12, 15, 18, 1});
  const auto [most_of_five, least_of_five] = rows(5);
  CHECK(most_of_five == std::vector<int>{2, 4});
  CHECK(least_of_five == std::vector<int>{0, 3});
  const auto [most_of_one, least_of_one] = rows(1);
  CHECK(most_of_one == std::vector<int>{0});
  CHECK(least_of_one == std::vector<int>{0});
}

TEST_CASE("surprise folder: without images there are no extremes") {
  const TempFolder folder;
  SurpriseFolder maps(folder / "a/b", 1, 1, no_texts);
  maps.finish({}, levels(1));
  CHECK(fs::is_empty(folder / "a/b"));
}

TEST_CASE("surprise folder: names have five digits or more") {
  const TempFolder folder;
  SurpriseFolder maps(folder.path(), 1, 1, no_texts);
  for (const int64_t index : {7, 1234567}) maps.write(index, kPixels, kNats);
  for (const char* name :
       {"map-00007.png", "bits-00007.npy", "map-1234567.png", "bits-1234567.npy"})
    CHECK(fs::exists(folder / name));
}

TEST_CASE("surprise folder: counts the maps from an index on") {
  const TempFolder folder;
  SurpriseFolder maps(folder.path(), 1, 1, no_texts);
  CHECK(maps.maps_from(0) == 0);
  for (const int64_t index : {0, 7, 1234567}) maps.write(index, kPixels, kNats);
  for (const char* name : {"map-9.png", "map-00010.jpg", "map-x.png", "00011.png", "map--0012.png"})
    write_text(folder / name, "of something else");
  CHECK(maps.maps_from(0) == 3);
  CHECK(maps.maps_from(7) == 2);
  CHECK(maps.maps_from(8) == 1);
  CHECK(maps.maps_from(1234568) == 0);
}

TEST_CASE("surprise folder: after a failure nothing more is written, and finish() throws it") {
  const TempFolder folder;
  SurpriseFolder maps(folder.path(), 1, 1, no_texts);
  for (const char* name : {"map-00001.png", "map-00002.png"}) fs::create_directory(folder / name);
  maps.write(0, kPixels, kNats);
  // Once, and at once.
  CHECK_THAT(stderr_of([&] { maps.write(1, kPixels, kNats); }),
             contains("no more maps: " + (folder / "map-00001.png").string()));
  CHECK(stderr_of([&] { maps.write(2, kPixels, kNats); }).empty());
  CHECK(fs::exists(folder / "map-00000.png"));
  for (const char* name : {"bits-00001.npy", "bits-00002.npy"})
    CHECK_FALSE(fs::exists(folder / name));
  CHECK_THAT(error_of([&] { maps.finish(shuffled(3), levels(3)); }), contains("map-00001.png"));
  CHECK_FALSE(fs::exists(folder / "extremes.png"));
}

TEST_CASE("surprise folder: one that can't be made or written to is an Error") {
  CHECK_THAT(error_of([] { SurpriseFolder("/dev/null", 1, 1, no_texts); }), contains("/dev/null"));
  CHECK_THAT(error_of([] { SurpriseFolder("/dev/null/maps", 1, 1, no_texts); }),
             contains("can't make the folder"));
  for (const char* name : {"map-00000.png", "bits-00000.npy", "extremes.png"}) {
    const TempFolder folder;
    fs::create_directory(folder / name);
    CHECK_THAT(error_of([&] { SurpriseFolder(folder.path(), 1, 1, no_texts); }), contains(name));
  }
}

}  // namespace
}  // namespace combiner

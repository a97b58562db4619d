#include "cli/drawn_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <new>

#include "catch.h"
#include "cli/interrupt.h"
#include "combiner/error.h"
#include "error_of.h"
#include "file_text.h"
#include "image/read_image.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// Two images of a pixel, without gaps.
PicturePlan plan() {
  PicturePlan plan{.shape = {1, 1, 3}, .count = 2, .places = 2, .recipe = {}};
  plan.recipe.sheet = {1, 2, 0, 1};
  plan.place = [](int64_t index) { return static_cast<size_t>(index); };
  return plan;
}

OutputOptions output(const fs::path& path) {
  return {.output = path.string(), .no_metadata = true};
}

// Draws the first of them.
void draw_one(const SampleEvents& events) {
  const std::array<uint8_t, 3> pixel = {1, 2, 3};
  events.row_done(0, 0, pixel);
  events.image_done(0, {1, 1, {pixel.begin(), pixel.end()}});
}

constexpr std::array<uint8_t, 6> kHalf = {1, 2, 3, 224, 224, 224};

bool is_half(const fs::path& sheet) { return std::ranges::equal(read_image(sheet).pixels, kHalf); }

TEST_CASE("drawn pictures: an error keeps the images that were finished before it") {
  const TempFolder folder;
  const fs::path sheet = folder / "x.png", partial = folder / "x.partial.png";
  const auto error = [&](const auto& work) {
    return error_of([&] {
      DrawnPictures(output(sheet), plan()).draw([&](const SampleEvents& events) -> bool {
        return work(events);
      });
    });
  };
  CHECK(error([](const SampleEvents& events) -> bool {
          draw_one(events);
          throw Error("a logit is not finite");
        }) ==
        fmt::format("a logit is not finite; 1 of 2 images are finished on {}", partial.string()));
  CHECK(is_half(partial));
  CHECK_FALSE(fs::exists(sheet));
  CHECK(error([](const SampleEvents& events) -> bool {
          draw_one(events);
          throw std::bad_alloc();
        }).starts_with("not enough memory; 1 of 2 images"));
  fs::remove(partial);
  CHECK(error([](const SampleEvents&) -> bool { throw Error("too early"); }) == "too early");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("drawn pictures: where no partial sheet can be, an unfinished one takes its place") {
  const TempFolder folder;
  const fs::path sheet = folder / "x.png", partial = folder / "x.partial.png";
  fs::create_directory(partial);
  const auto interrupted = [](const SampleEvents& events) {
    draw_one(events);
    return false;
  };
  CHECK_THROWS_AS(DrawnPictures(output(sheet), plan()).draw(interrupted), Interrupted);
  CHECK(is_half(sheet));
  // But an older one stays.
  CHECK_THAT(error_of([&] { DrawnPictures(output(sheet), plan()); }),
             contains("x.partial.png: is a folder") && contains("choose another --output"));
  CHECK(is_half(sheet));
}

}  // namespace
}  // namespace combiner

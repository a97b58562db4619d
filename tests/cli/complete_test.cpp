#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "catch.h"
#include "cli/run_program.h"
#include "combiner/completion.h"
#include "data_folders.h"
#include "image/contact_sheet.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "random.h"
#include "temp_folder.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const std::string kModel = (golden_folder() / "pixel_mixed.safetensors").string();
constexpr int kWidth = 6, kHeight = 3;

// Two pictures in a folder of their own.
struct Pictures {
  TempFolder folder;
  std::vector<Image> images;
  std::vector<std::string> paths;

  Pictures() {
    Random random(2);
    for (const char* name : {"first.png", "second.png"}) {
      images.push_back({kWidth, kHeight, random.bytes(3 * kWidth * kHeight)});
      paths.push_back((folder / name).string());
      write_png(paths.back(), images.back());
    }
  }

  ProgramResult complete(std::vector<std::string> more) const {
    more.insert(more.begin(), {"complete", "--model", kModel, "--precision", "f32", "--seed", "3"});
    more.insert(more.begin() + 1, paths.begin(), paths.end());
    return run_combiner(more);
  }

  // What the library draws with the same options.
  std::vector<Image> expected(int rows, int64_t variations) const {
    std::vector<Image> done(images.size() * static_cast<size_t>(variations));
    SampleEvents events;
    events.image_done = [&](int64_t index, Image image) {
      done[static_cast<size_t>(index)] = std::move(image);
    };
    REQUIRE(combiner::complete(Model(load_weights(kModel), Precision::f32, 1), images, rows,
                               {.count = variations, .seed = 3}, events));
    return done;
  }
};

TEST_CASE("complete: a sheet shows each picture, its kept part and the variations") {
  const Pictures pictures;
  const std::string sheet = (pictures.folder / "sheet.png").string();
  const ProgramResult result =
      pictures.complete({"--keep-rows", "2", "-n", "3", "--scale", "2", "-o", sheet});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK(
      result.out.starts_with(sheet + ": 2 of 3 rows kept of 2 pictures, 3 variations of seed 3, "));
  const std::vector<Image> variations = pictures.expected(2, 3);
  std::vector<Image> places;
  for (size_t i = 0; i < 2; ++i) {
    places.push_back(pictures.images[i]);
    Image kept = pictures.images[i];
    std::fill(kept.pixels.begin() + 3 * 2 * kWidth, kept.pixels.end(), uint8_t{224});
    places.push_back(kept);
    for (size_t v = 0; v < 3; ++v) places.push_back(variations[3 * i + v]);
  }
  CHECK(read_image(sheet) == contact_sheet(places, 2, 5, 2, 2));
  const std::string text = read_png_texts(sheet).at(1).text;
  CHECK_THAT(text, contains(R"("keep_rows":2,"pictures":["first.png","second.png"])"));
  CHECK_THAT(run_combiner({"info", sheet}).out,
             contains("pictures     [\"first.png\",\"second.png\"]"));
}

TEST_CASE("complete: a folder gets a file for each variation, with the upper rows bit for bit") {
  const Pictures pictures;
  const fs::path folder = pictures.folder / "out";
  CHECK(pictures.complete({"--keep-rows", "1", "-n", "2", "-o", folder.string() + "/"}).exit_code ==
        0);
  const std::vector<Image> variations = pictures.expected(1, 2);
  const std::vector<std::string> names = {"00000-first-0.png", "00000-first-1.png",
                                          "00001-second-0.png", "00001-second-1.png"};
  CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator()) == 4);
  for (size_t i = 0; i < names.size(); ++i) {
    const Image image = read_image(folder / names[i]);
    CHECK(image == variations[i]);
    CHECK(std::equal(image.pixels.begin(), image.pixels.begin() + 3 * kWidth,
                     pictures.images[i / 2].pixels.begin()));
  }
}

TEST_CASE("complete: --first draws one of the variations again, and --json says how") {
  const Pictures pictures;
  const std::string sheet = (pictures.folder / "sheet.png").string();
  const std::string second = std::to_string(variation_stream(1, 1));
  const ProgramResult result = run_combiner(
      {"complete", "--model", kModel, "--precision", "f32", "--seed", "3", pictures.paths[1], "-n",
       "1", "--first", second, "--keep-rows", "1", "-o", sheet, "--scale", "1", "--json"});
  REQUIRE(result.exit_code == 0);
  const auto json = nlohmann::json::parse(result.out);
  CHECK(json["pictures"] == std::vector<std::string>{"second.png"});
  CHECK(json["first"] == variation_stream(1, 1));
  CHECK(json["keep_rows"] == 1);
  const Image drawn = read_image(sheet);
  const Image expected = contact_sheet({&pictures.expected(1, 2)[3], 1}, 1, 1, 2, 1);
  for (int y = 0; y < expected.height; ++y)
    CHECK(std::equal(
        &drawn.pixels[size_t{3} * static_cast<size_t>(y * drawn.width + 16)],
        &drawn.pixels[size_t{3} * static_cast<size_t>(y * drawn.width + 16)] + 3 * expected.width,
        &expected.pixels[size_t{3} * static_cast<size_t>(y * expected.width)]));
}

TEST_CASE("complete: pictures in the folder that is written to are not overwritten") {
  const Pictures pictures;
  const std::string out = (pictures.folder / "out/").string();
  CHECK(pictures.complete({"--keep-rows", "1", "-n", "1", "-o", out}).exit_code == 0);
  const Image before = read_image(out + "00000-first-0.png");
  const ProgramResult result =
      run_combiner({"complete", "--model", kModel, "--keep-rows", "1", "-n", "1", "-o", out,
                    pictures.paths[0], out + "00000-first-0.png"});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("00000-first-0.png would be overwritten"));
  CHECK(read_image(out + "00000-first-0.png") == before);
  const ProgramResult mask =
      run_combiner({"complete", "--model", kModel, "--mask", out + "00000-first-0.png", "-n", "1",
                    "-o", out, pictures.paths[0]});
  CHECK(mask.exit_code == 1);
  CHECK(read_image(out + "00000-first-0.png") == before);
}

TEST_CASE("complete: a name that no file in the folder could have is refused before drawing") {
  const Pictures pictures;
  const fs::path stem = pictures.folder / std::string(kLongestFileName - 4, 'a');
  const std::string longest = stem.string() + ".png", out = (pictures.folder / "out/").string();
  fs::copy(pictures.paths[0], longest);
  const ProgramResult result = run_combiner({"complete", "--model", kModel, "--keep-rows", "1",
                                             "-n", "1", "-o", out, pictures.paths[0], longest});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("rename it"));
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("complete: a mask keeps whole upper rows or is refused") {
  const Pictures pictures;
  const std::string mask = (pictures.folder / "mask.png").string();
  const std::string sheet = (pictures.folder / "sheet.png").string();
  const auto with_mask = [&](std::vector<int> kept_pixels) {
    Image image{kWidth, kHeight, std::vector<uint8_t>(3 * kWidth * kHeight, 255)};
    for (const int pixel : kept_pixels)
      std::fill_n(&image.pixels[3 * static_cast<size_t>(pixel)], 3, 0);
    write_png(mask, image);
    return pictures.complete({"--mask", mask, "-n", "1", "-o", sheet});
  };
  CHECK_THAT(with_mask({0, 1, 2, 3, 4, 5}).out, contains("1 of 3 rows kept"));
  fs::remove(sheet);
  const auto refused = [&](std::vector<int> kept_pixels, const std::string& complaint) {
    const ProgramResult result = with_mask(std::move(kept_pixels));
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(sheet));
  };
  refused({}, "mask.png: has no black row, so nothing would be kept; what is black is kept");
  refused({0, 1, 2, 3, 4}, "mask.png: row 0 is kept in part");
  refused({0, 1, 2, 3, 4, 5, 8}, "row 1 is kept in part");
  refused({6, 7, 8, 9, 10, 11}, "row 1 is kept below row 0, which is not");
  refused({17}, "row 2 is kept in part");
  std::vector<int> all(18);
  for (int i = 0; i < 18; ++i) all[static_cast<size_t>(i)] = i;
  refused(all, "nothing to draw");
  write_png(mask, {2, 2, std::vector<uint8_t>(12)});
  const ProgramResult small = pictures.complete({"--mask", mask, "-o", sheet});
  CHECK_THAT(small.err, contains("mask.png: is 2x2 pixels; expected 6x3"));
}

TEST_CASE("complete: what can't be completed is refused and nothing is written") {
  const Pictures pictures;
  const std::string sheet = (pictures.folder / "sheet.png").string();
  const std::string large = (pictures.folder / "large.png").string();
  write_png(large, {12, 6, std::vector<uint8_t>(216, 99)});
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& complaint) {
    INFO(fmt::format("{}", fmt::join(more, " ")));
    const ProgramResult result = pictures.complete(std::move(more));
    CHECK(result.exit_code == code);
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(sheet));
  };
  refused({"-o", sheet}, 2,
          "nothing says what to keep of the pictures; give --keep-rows or --mask");
  refused({"-o", sheet, "--keep-rows", "1", "--mask", large}, 2,
          "--keep-rows and --mask can't both be given");
  refused({"-o", "", "--keep-rows", "1"}, 2, "--output: \"\" neither ends in .png");
  refused({"-o", sheet, "--keep-rows", "-1"}, 2, "--keep-rows");
  refused({"-o", sheet, "--keep-rows", "3"}, 1, "nothing to draw");
  refused({"-o", sheet, "--keep-rows", "1", large}, 1, "large.png: is 12x6 pixels; expected 6x3");
  refused({"-o", sheet, "--keep-rows", "1", "absent.png"}, 1, "absent.png: ");
  refused({"-o", pictures.paths[1], "--keep-rows", "1"}, 2, "which is read; write elsewhere");
  refused({"-o", sheet, "--preview", pictures.paths[0], "--keep-rows", "1"}, 2,
          "which is read; write elsewhere");
  refused({"-o", sheet, "--keep-rows", "1", "-n", "0"}, 2, "--count");
  refused({"-o", sheet, "--keep-rows", "1", "-n", "6148914691236517206"}, 2, "--count");
  refused({"-o", sheet, "--keep-rows", "1", "-n", "1000000", "--scale", "64"}, 1, "is too large");
  refused({"-o", sheet, "--mask", sheet + ".mask.png"}, 1, "mask.png");
  refused({"-o", large, "--mask", large}, 2, "which is read; write elsewhere");
  CHECK(read_image(pictures.paths[1]) == pictures.images[1]);
  CHECK(pictures.complete({"-o", sheet, "--keep-rows", "1", "--resize", large}).exit_code == 0);
}

}  // namespace
}  // namespace combiner

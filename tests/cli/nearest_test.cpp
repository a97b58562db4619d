#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "catch.h"
#include "cli/run_program.h"
#include "file_text.h"
#include "image/mirror.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "random.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// A folder of data: eight pictures of noise for training, one for testing. Two pictures to look
// for: a mirrored copy of the fourth and another one.
struct Case {
  TempFolder folder;
  std::string data, copy, other, sheet;

  Case() {
    Random random(9);
    data = (folder / "data").string();
    fs::create_directories(fs::path(data) / "train");
    fs::create_directories(fs::path(data) / "test");
    std::vector<Image> images;
    for (int i = 0; i < 8; ++i) {
      images.push_back({6, 5, random.bytes(90)});
      write_png(fs::path(data) / fmt::format("train/{}.png", i), images.back());
    }
    write_png(fs::path(data) / "test/only.png", images[5]);
    copy = (folder / "copy.png").string();
    other = (folder / "other.png").string();
    sheet = (folder / "sheet.png").string();
    mirror(images[3].pixels, 6);
    write_png(copy, images[3]);
    write_png(other, {6, 5, random.bytes(90)});
  }

  ProgramResult nearest(std::vector<std::string> more) const {
    more.insert(more.begin(), {"nearest", "--data", data, "-o", sheet});
    return run_combiner(more);
  }
};

TEST_CASE("nearest: an interrupt prints and draws what was found among the images so far") {
  const TempFolder folder;
  // To enlarge an image to the picture's size takes milliseconds, and the search a minute.
  constexpr int kSide = 1024, kImages = 5000;
  const fs::path picture = folder / "picture.png", sheet = folder / "sheet.png";
  write_png(picture, {kSide, kSide, std::vector<uint8_t>(3 * kSide * kSide)});
  constexpr size_t kRecord = 1 + 3 * 32 * 32;  // of CIFAR-10
  const fs::path data = write_text(folder / "images.bin", std::string(kImages * kRecord, '\0'));
  ProgramResult result;
  // Try again if the signal came before the first image was searched.
  for (int wait = 100; wait < 60'000; wait *= 2) {
    RunningProgram program({"nearest", picture.string(), "--data", data.string(), "--resize", "-k",
                            "1", "--threads", "1", "-o", sheet.string(), "--json"});
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    program.send(SIGINT);
    result = program.wait();
    if (!result.out.empty()) break;
    CHECK(result.exit_code == 130);
    CHECK_FALSE(fs::exists(sheet));
  }
  CHECK(result.exit_code == 130);
  const Json json = Json::parse(result.out);
  const int searched = json["images"];
  CHECK(searched >= 1);
  CHECK(searched < kImages);
  for (const char* distance : {"in_pixels", "in_means"}) {
    const Json& found = json["pictures"][0][distance];
    REQUIRE(found.size() == 1);
    CHECK(found[0]["index"] == 0);
    CHECK(found[0]["distance"] == 0);
  }
  // Behind lines of progress, if it took more than a minute.
  CHECK(result.err.ends_with(fmt::format(
      "combiner: interrupted: the figures are those of {} of {} images\n", searched, kImages)));
  CHECK(read_image(sheet).width > 3 * kSide);
}

TEST_CASE("nearest: a table that can't be written costs no sheet") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  const Case c;
  std::vector<std::string> words = {"nearest", "--data", c.data, "-o", c.sheet, "-k", "8"};
  words.insert(words.end(), 40, c.copy);  // more than what is buffered
  const ProgramResult full = RunningProgram(words, "/dev/full").wait();
  CHECK(full.exit_code == 1);
  CHECK_NOTHROW(read_image(c.sheet));

  // A pipe that nobody reads any more.
  fs::remove(c.sheet);
  const fs::path piped = write_script(c.folder / "piped", COMBINER_PROGRAM " \"$@\" | true");
  RunningProgram(words, {}, piped.string()).wait();
  CHECK_NOTHROW(read_image(c.sheet));
}

TEST_CASE("nearest: JSON, table and sheet say where the nearest images are") {
  const Case c;
  const ProgramResult result = c.nearest({c.copy, c.other, "-k", "3", "--json"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  const Json json = Json::parse(result.out);
  CHECK(json["images"] == 8);
  CHECK(json["split"] == "train");
  CHECK(json["output"] == c.sheet);
  REQUIRE(json["pictures"].size() == 2);
  CHECK(json["pictures"][1]["picture"] == c.other);
  for (const char* distance : {"in_pixels", "in_means"}) {
    const Json& found = json["pictures"][0][distance];
    REQUIRE(found.size() == 3);
    CHECK(found[0]["distance"] == 0);
    CHECK(found[0]["index"] == 3);
    CHECK(found[0]["mirrored"] == true);
    CHECK(found[0]["name"] == c.data + "/train/3.png");
    CHECK(found[1]["distance"].get<double>() > 0);
    CHECK(found[1]["distance"].get<double>() <= found[2]["distance"].get<double>());
    CHECK(json["pictures"][1][distance].size() == 3);
  }
  const Image sheet = read_image(c.sheet);
  CHECK(sheet.width > 7 * 128);
  CHECK(sheet.height > 2 * 100);

  const ProgramResult table = c.nearest({c.copy, c.other, "--threads", "1", "--scale", "1"});
  CHECK(table.exit_code == 0);
  CHECK_THAT(table.out, contains(c.copy + "\n  in pixels\n    1    0.00  #3       mirrored"));
  CHECK_THAT(table.out, contains("/train/3.png (identical)\n"));
  CHECK_THAT(table.out, contains(c.sheet + ": the nearest of 8 images, "));
  CHECK(read_image(c.sheet).height < sheet.height);

  const Json test = Json::parse(c.nearest({c.copy, "--split", "test", "--json"}).out);
  CHECK(test["images"] == 1);
  CHECK(test["pictures"][0]["in_pixels"].size() == 1);
  const Json two = Json::parse(c.nearest({c.copy, "--limit", "2", "--json"}).out);
  CHECK(two["images"] == 2);
}

TEST_CASE("nearest: a sheet that would be too large is not drawn, and takes nothing else away") {
  const Case c;
  std::vector<std::string> many(100, c.copy);
  many.insert(many.end(), {"--scale", "64", "-k", "1000"});
  const std::string complaint = c.sheet + ": is not drawn: 100 pictures would make a sheet of ";
  const std::string hint = "; give fewer pictures or a smaller --scale\n";
  const ProgramResult table = c.nearest(many);
  CHECK(table.exit_code == 0);
  CHECK(table.err.starts_with(complaint));
  CHECK(table.err.ends_with(hint));
  CHECK_THAT(table.out, contains("\nthe nearest of 8 images, "));
  many.push_back("--json");
  const ProgramResult result = c.nearest(many);
  CHECK(result.exit_code == 0);
  CHECK(result.err == table.err);
  const Json json = Json::parse(result.out);
  CHECK(json["output"].is_null());
  CHECK(json["pictures"].size() == 100);
  CHECK(json["pictures"][99]["in_means"].size() == 8);
  CHECK_FALSE(fs::exists(c.sheet));
}

TEST_CASE("nearest: the sheet says what data it is of, though / follows the folder's name") {
  const Case c;
  const std::vector<std::string> arguments = {"nearest",    c.copy, "--data",
                                              c.data + "/", "-o",   c.sheet};
  CHECK(run_combiner(arguments).exit_code == 0);
  CHECK_THAT(run_combiner({"info", c.sheet}).out, contains("\ndata         data\n"));
}

TEST_CASE("nearest: JSON is valid though a file's name is not UTF-8") {
  const Case c;
  const std::string picture = (c.folder / "caf\xe9.png").string();
  fs::copy_file(c.copy, picture);
  const Json json = Json::parse(c.nearest({picture, "--json"}).out);
  CHECK(json["pictures"][0]["picture"] == (c.folder / "caf\ufffd.png").string());
}

TEST_CASE("nearest: an output that would replace or join an input is refused") {
  const Case c;
  const auto refused = [&](std::vector<std::string> arguments, const std::string& complaint) {
    arguments.insert(arguments.begin(), "nearest");
    const ProgramResult result = run_combiner(arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
  };
  const std::string before = read_text(c.copy);
  refused({c.other, c.copy, "--data", c.data, "-o", c.copy}, "which is read; write elsewhere");
  const std::string link = (c.folder / "link.png").string();
  fs::create_symlink(c.copy, link);
  refused({c.copy, "--data", c.data, "-o", link}, "which is read; write elsewhere");
  refused({c.other, "--data", c.copy, "-o", c.copy}, "which is read; write elsewhere");
  refused({c.copy, "--data", c.data, "-o", c.data + "/train/0.png"},
          "which is read; write elsewhere");
  refused({c.copy, "--data", c.data, "-o", c.data + "/../data/new.png"},
          "which is read; write elsewhere");
  refused({c.copy, "--data", c.data, "-o", "sheet.jpg"}, "doesn't end in .png");
  refused({c.copy}, "--data is required");
  refused({"--data", c.data}, "IMAGE is required");
  refused({c.copy, "--data", c.data, "-k", "0"}, "--neighbours");
  CHECK(read_text(c.copy) == before);
}

TEST_CASE("nearest: unusable pictures and data are failures and leave no sheet") {
  const Case c;
  const std::string large = (c.folder / "large.png").string();
  write_png(large, {12, 10, std::vector<uint8_t>(360)});
  const auto fails = [&](std::vector<std::string> arguments, const std::string& complaint) {
    const ProgramResult result = c.nearest(std::move(arguments));
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(c.sheet));
  };
  fails({c.copy, large}, large + ": has 12x10 pixels; expected 6x5, as " + c.copy + " has");
  fails({large}, ".png: has 6x5 pixels; expected 12x10");
  fails({c.copy, (c.folder / "absent.png").string()}, "absent.png");
  write_text(fs::path(c.data) / "train/9.png", "\x89PNG\r\n\x1A\nand no picture");
  fails({c.copy}, "9.png");
  fs::remove(fs::path(c.data) / "train/9.png");

  const std::string nowhere = (c.folder / "absent/sheet.png").string();
  const ProgramResult unwritable =
      run_combiner({"nearest", c.copy, "--data", c.data, "-o", nowhere});
  CHECK(unwritable.exit_code == 1);
  CHECK(unwritable.out.empty());
  CHECK_THAT(unwritable.err, contains("can't create the file"));

  CHECK(c.nearest({large, "--resize"}).exit_code == 0);
}

}  // namespace
}  // namespace combiner

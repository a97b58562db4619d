#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "catch.h"
#include "cli/bad_numbers.h"
#include "cli/run_program.h"
#include "dataset/npz_images.h"
#include "file_text.h"
#include "image/resize.h"
#include "image/write_png.h"
#include "random.h"
#include "temp_folder.h"
#include "wait_until.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

ProgramResult run_make(const std::vector<std::string>& arguments) {
  return RunningProgram(arguments, "", COMBINER_MAKE_IMAGENET64).wait();
}

void write_picture(const fs::path& path, const Image& picture) {
  fs::create_directories(path.parent_path());
  write_png(path, picture);
}

Image flat(int width, int height, int value) {
  return {
      width, height,
      std::vector<uint8_t>(static_cast<size_t>(3 * width * height), static_cast<uint8_t>(value))};
}

// Writes twelve pictures of one value each, 1 to 12, in three classes.
void write_flat_pictures(const fs::path& folder) {
  for (int value = 1; value <= 12; ++value) {
    const char* const name = value <= 4 ? "n01" : value <= 8 ? "n02" : "n10";
    write_picture(folder / name / fmt::format("{:02}.png", value), flat(10, 7, value));
  }
}

std::vector<Image> read_set(const fs::path& folder, Split split, int size) {
  const auto set =
      open_npz(folder, {.split = split, .width = size, .height = size, .scratch = folder});
  std::vector<Image> images;
  for (int64_t i = 0; i < set->size(); ++i) {
    images.push_back(flat(size, size, 0));
    set->read(i, images.back().pixels);
  }
  return images;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = read_text(entry.path());
  return files;
}

std::set<std::string> names_of(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& [name, bytes] : files_of(folder)) names.insert(name);
  return names;
}

TEST_CASE("make_imagenet64: a test set has whole pictures in order") {
  const TempFolder folder;
  Random random(3);
  std::vector<Image> pictures;
  for (const char* name : {"a/1.png", "a/2.png", "b/c/1.png"}) {
    pictures.push_back({30, 20, random.bytes(3 * 30 * 20)});
    write_picture(folder / "pictures" / name, pictures.back());
  }
  const std::string out = (folder / "set").string();
  const ProgramResult result =
      run_make({(folder / "pictures").string(), "-o", out, "--split", "test", "--size", "8"});
  CHECK(result.err.empty());
  CHECK(result.exit_code == 0);
  CHECK(result.out == out + ": 3 records of 8x8 from 3 pictures, files: 1\n");
  CHECK(names_of(out) == std::set<std::string>{"val_data.npz"});
  const std::vector<Image> images = read_set(out, Split::test, 8);
  REQUIRE(images.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(images[i] == resample(pictures[i], {0, 0, 30, 20}, 8, 8));

  const std::string centres = (folder / "centres").string();
  REQUIRE(run_make({(folder / "pictures").string(), "-o", centres, "--split", "test", "--size", "8",
                    "--centre-crop", "--stored"})
              .exit_code == 0);
  const std::vector<Image> cut = read_set(centres, Split::test, 8);
  REQUIRE(cut.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(cut[i] == resize_to(pictures[i], 8, 8));
}

TEST_CASE("make_imagenet64: a train set is shuffled by the seed into files of --batch records") {
  const TempFolder folder;
  const fs::path pictures = folder / "pictures";
  write_flat_pictures(pictures);
  const auto make = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        pictures.string(), "-o", (folder / name).string(), "--size", "4", "--batch", "5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    REQUIRE(run_make(arguments).exit_code == 0);
    return files_of(folder / name);
  };
  const auto one = make("one", {"--threads", "1"});
  CHECK(names_of(folder / "one") == std::set<std::string>{"train_data_batch_1.npz",
                                                          "train_data_batch_2.npz",
                                                          "train_data_batch_3.npz"});
  std::vector<int> values;
  std::set<int> different;
  for (const Image& image : read_set(folder / "one", Split::train, 4)) {
    CHECK(image == flat(4, 4, image.pixels[0]));
    values.push_back(image.pixels[0]);
    different.insert(image.pixels[0]);
  }
  CHECK(values.size() == 12);
  CHECK(different.size() == 12);
  CHECK_FALSE(std::is_sorted(values.begin(), values.end()));
  CHECK(open_npz(folder / "one/train_data_batch_3.npz",
                 {.width = 4, .height = 4, .scratch = folder.path()})
            ->size() == 2);

  CHECK(make("again", {"--threads", "3"}) == one);
  CHECK(make("other", {"--seed", "2"}) != one);
}

TEST_CASE("make_imagenet64: NumPy reads the set, with labels by class") {
  const std::string probe = "import numpy";
  if (RunningProgram({"-c", probe}, "", COMBINER_PYTHON).wait().exit_code != 0)
    SKIP_TEST("no NumPy");
  const TempFolder folder;
  write_flat_pictures(folder / "pictures");
  for (const char* option : {"--centre-crop", "--stored"}) {
    const fs::path out = folder / option;
    REQUIRE(run_make({(folder / "pictures").string(), "-o", out.string(), "--split", "test",
                      "--size", "4", option})
                .exit_code == 0);
    const std::string script = fmt::format(
        "import numpy as np\n"
        "arrays = np.load('{}')\n"
        "data, labels = arrays['data'], arrays['labels']\n"
        "print(data.dtype, data.shape, data[:, 0].tolist(), labels.dtype, labels.tolist())\n",
        (out / "val_data.npz").string());
    const ProgramResult result = RunningProgram({"-c", script}, "", COMBINER_PYTHON).wait();
    CHECK(result.err.empty());
    CHECK(result.out ==
          "uint8 (12, 48) [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] "
          "int64 [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]\n");
  }
}

TEST_CASE("make_imagenet64: random crops are squares inside the picture") {
  const TempFolder folder;
  // A pixel's red value encodes its column, its green value its row.
  Image picture = flat(60, 40, 0);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 60; ++x) {
      picture.pixels[static_cast<size_t>(3 * (60 * y + x))] = static_cast<uint8_t>(4 * x);
      picture.pixels[static_cast<size_t>(3 * (60 * y + x) + 1)] = static_cast<uint8_t>(4 * y);
    }
  write_picture(folder / "pictures/a.png", picture);
  write_picture(folder / "pictures/b.png", flat(3, 5, 9));  // smaller than the images of the set
  const auto make = [&](const std::string& name, const std::string& threads,
                        const std::string& seed) {
    REQUIRE(run_make({(folder / "pictures").string(), "-o", (folder / name).string(), "--size",
                      "10", "--crops", "50", "--threads", threads, "--seed", seed})
                .exit_code == 0);
    return read_set(folder / name, Split::train, 10);
  };
  const std::vector<Image> images = make("one", "1", "5");
  REQUIRE(images.size() == 100);
  std::set<std::string> different;
  double least = 1000, most = 0;
  int flat_ones = 0;
  for (const Image& image : images) {
    if (image == flat(10, 10, 9)) {
      ++flat_ones;
      continue;
    }
    different.emplace(image.pixels.begin(), image.pixels.end());
    // The centres of the first and the last pixel are nine tenths of the side apart.
    const double width = (image.pixels[3 * 9] - image.pixels[0]) / 4.0 / 0.9;
    const double height = (image.pixels[3 * 90 + 1] - image.pixels[1]) / 4.0 / 0.9;
    CHECK(std::abs(width - height) < 1);
    least = std::min(least, width);
    most = std::max(most, width);
  }
  CHECK(flat_ones == 50);
  CHECK(different.size() > 45);
  CHECK(least > 19);
  CHECK(least < 25);
  CHECK(most < 41);
  CHECK(most > 35);
  CHECK(make("two", "4", "5") == images);
  CHECK(make("three", "1", "6") != images);
}

TEST_CASE("make_imagenet64: unreadable pictures are named and skipped") {
  const TempFolder folder;
  const fs::path pictures = folder / "pictures";
  write_flat_pictures(pictures);
  const std::string whole = read_text(pictures / "n01/01.png");
  write_text(pictures / "n02/00.png", whole.substr(0, whole.size() / 2));
  const std::string out = (folder / "set").string();
  const ProgramResult result =
      run_make({pictures.string(), "-o", out, "--split", "test", "--size", "4"});
  CHECK(result.exit_code == 1);
  CHECK(result.out == out + ": 12 records of 4x4 from 12 pictures, files: 1\n");
  CHECK_THAT(result.err, contains("make_imagenet64: " + (pictures / "n02/00.png").string()));
  CHECK_THAT(result.err,
             contains("make_imagenet64: 1 of 13 pictures can't be read and was left out\n"));
  CHECK(read_set(out, Split::test, 4).size() == 12);
}

TEST_CASE("make_imagenet64: what is no picture is ignored, with a word") {
  const TempFolder folder;
  const fs::path pictures = folder / "pictures";
  write_flat_pictures(pictures);
  write_text(pictures / "n02/00.png", "no picture");
  fs::create_symlink("..", pictures / "n01/parent");
  const std::string out = (folder / "set").string();
  const ProgramResult result =
      run_make({pictures.string(), "-o", out, "--split", "test", "--size", "4"});
  CHECK(result.exit_code == 0);
  CHECK(result.out == out + ": 12 records of 4x4 from 12 pictures, files: 1\n");
  CHECK(result.err ==
        pictures.string() +
            ": 12 images, 2 ignored (folders above or read already: n01/parent; not readable "
            "as pictures despite their names: n02/00.png)\n");
}

TEST_CASE("make_imagenet64: a new set is not mixed with an older one") {
  const TempFolder folder;
  const std::string pictures = (folder / "pictures").string(), out = (folder / "set").string();
  write_flat_pictures(pictures);
  for (const char* split : {"train", "test"}) {
    const std::vector<std::string> arguments = {pictures, "-o", out, "--split", split};
    REQUIRE(run_make(arguments).exit_code == 0);
    const auto files = files_of(out);
    const ProgramResult again = run_make(arguments);
    CHECK(again.exit_code == 1);
    CHECK_THAT(again.err, contains(".npz: is there already; remove the set or name another"));
    CHECK(files_of(out) == files);
  }
}

TEST_CASE("make_imagenet64: wrong usage is explained") {
  struct WrongUse {
    std::vector<std::string> arguments;
    std::string complaint;
    int exit_code;
  };
  const TempFolder folder;
  const std::string empty = folder.path().string(), out = (folder / "out").string();
  const std::vector<WrongUse> wrong = {
      {{}, "pictures is required", 2},
      {{empty}, "--output is required", 2},
      {{empty, "-o", out, "--size", "0"}, "--size", 2},
      {{empty, "-o", out, "--crops", "257"}, "--crops", 2},
      {{empty, "-o", out, "--crops", "2", "--centre-crop"},
       "--crops and --centre-crop can't both be given",
       2},
      {{empty, "-o", out, "--seed", "-1"}, "-1 is not a whole number", 2},
      {{empty, "-o", out, "--batch", "0"}, "0 is not a whole number of 1 or more", 2},
      {{empty, "-o", out, "--split", "both"}, "both not in {train,test}", 2},
      {{empty, "-o", out, "more"}, "more", 2},
      {{empty, "-o", out}, "has no pictures, nor has any folder below it", 1},
      {{(folder / "none").string(), "-o", out}, "none: can't list the folder: No such file", 1},
  };
  for (const WrongUse& use : wrong) {
    INFO(fmt::format("{}", use.complaint));
    const ProgramResult result = run_make(use.arguments);
    CHECK(result.exit_code == use.exit_code);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("make_imagenet64: "));
    CHECK_THAT(result.err, contains(use.complaint));
    CHECK((result.err.find("See make_imagenet64 --help.") != std::string::npos) ==
          (use.exit_code == 2));
    CHECK_FALSE(fs::exists(out));
  }
  const ProgramResult help = run_make({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.out, contains("--crops"));
}

TEST_CASE("make_imagenet64: options take numbers and nothing else") {
  for (const char* const option : {"--size", "--crops", "--seed", "--batch", "--threads"})
    for (const std::string& bad : kBadNumbers) {
      INFO(fmt::format("{} '{}'", option, bad));
      const ProgramResult result = run_make({option, bad});
      CHECK(result.exit_code == 2);
      CHECK(result.err.starts_with(fmt::format("make_imagenet64: {}: ", option)));
      CHECK_THAT(result.err, contains(" a whole number "));
    }
}

TEST_CASE("make_imagenet64: an interrupt leaves only complete files") {
  const TempFolder folder;
  const fs::path pictures = folder / "pictures", out = folder / "set";
  write_picture(pictures / "0.png", flat(400, 400, 9));
  for (int i = 1; i < 200; ++i) fs::copy(pictures / "0.png", pictures / fmt::format("{}.png", i));
  RunningProgram program({pictures.string(), "-o", out.string(), "--crops", "256", "--batch",
                          "20000"},  // takes far longer than the test waits
                         "", COMBINER_MAKE_IMAGENET64);
  wait_until([&] { return fs::exists(out); });
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK(result.out.empty());
  CHECK(result.err == fmt::format("make_imagenet64: interrupted: in {} are 0 whole files with "
                                  "0 records\n",
                                  out.string()));
  CHECK(names_of(out).empty());
}

}  // namespace
}  // namespace combiner

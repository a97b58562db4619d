#include "dataset/image_files.h"

#include <fstream>
#include <optional>
#include <vector>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "image/write_png.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const DatasetOptions kTrain{.split = Split::train, .width = 2, .height = 2};
const DatasetOptions kTest{.split = Split::test, .width = 2, .height = 2};

// Writes a square picture of one value as a PNG.
void write_square(const fs::path& path, int side, uint8_t value) {
  fs::create_directories(path.parent_path());
  write_png(path, {side, side, std::vector<uint8_t>(static_cast<size_t>(3 * side * side), value)});
}

// The first byte of an image of 2 x 2 pixels.
int first_byte(const Dataset& dataset, int64_t index) {
  std::vector<uint8_t> pixels(12);
  dataset.read(index, pixels);
  return pixels[0];
}

TEST_CASE("An undivided folder of pictures serves as both splits, sorted by name") {
  const TempFolder folder;
  write_square(folder / "b.png", 2, 20);
  write_square(folder / "a.png", 2, 10);
  for (const DatasetOptions& options : {kTrain, kTest}) {
    const auto dataset = open_dataset(folder.path(), options);
    CHECK(dataset->size() == 2);
    CHECK(dataset->width() == 2);
    CHECK(dataset->height() == 2);
    CHECK(first_byte(*dataset, 0) == 10);
    CHECK(first_byte(*dataset, 1) == 20);
    CHECK(dataset->describe(1) == (folder / "b.png").string());
  }
}

TEST_CASE("A single picture is a data set, whatever its name") {
  const TempFolder folder;
  write_square(folder / "a.png", 2, 34);
  fs::rename(folder / "a.png", folder / "one");
  CHECK(first_byte(*open_dataset(folder / "one", kTest), 0) == 34);
  write_square(folder / "one.PNG", 2, 33);
  const auto dataset = open_dataset(folder / "one.PNG", kTest);
  CHECK(dataset->size() == 1);
  CHECK(first_byte(*dataset, 0) == 33);
}

TEST_CASE("Pictures are not opened without a size") {
  const TempFolder folder;
  write_square(folder / "a.png", 2, 1);
  for (const DatasetOptions& options :
       {DatasetOptions{}, DatasetOptions{.width = 2, .resize = true},
        DatasetOptions{.width = 2, .height = -1, .resize = true}})
    for (const fs::path& path : {folder.path(), folder / "a.png"})
      CHECK_THAT(error_of([&] { open_dataset(path, options); }), contains("pictures need a size"));
}

TEST_CASE("A divided folder yields its train and its test pictures") {
  const TempFolder folder;
  write_square(folder / "train/a.png", 2, 1);
  write_square(folder / "val/a.png", 2, 2);
  CHECK(first_byte(*open_dataset(folder.path(), kTrain), 0) == 1);
  CHECK(first_byte(*open_dataset(folder.path(), kTest), 0) == 2);
  write_square(folder / "valid/a.png", 2, 3);
  CHECK(first_byte(*open_dataset(folder.path(), kTest), 0) == 3);
  write_square(folder / "test/a.png", 2, 4);
  CHECK(first_byte(*open_dataset(folder.path(), kTest), 0) == 4);
}

TEST_CASE("A folder divided by size yields the pictures of the wanted size") {
  const TempFolder folder;
  write_square(folder / "train_2x2/a.png", 2, 1);
  write_square(folder / "valid_2x2/a.png", 2, 2);
  write_square(folder / "train_6x6/a.png", 6, 3);
  CHECK(first_byte(*open_dataset(folder.path(), kTrain), 0) == 1);
  CHECK(first_byte(*open_dataset(folder.path(), kTest), 0) == 2);
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), {.width = 6, .height = 6}); }),
             contains("has a subfolder train_6x6/ and no test split"));
}

TEST_CASE("A divided folder without the split is an Error") {
  const TempFolder folder;
  write_square(folder / "train/a.png", 2, 1);
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), kTest); }),
             contains("has a subfolder train/ and no test split; expected test/, valid/, val/ "
                      "or valid_2x2/"));
  fs::rename(folder / "train", folder / "valid");
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), kTrain); }),
             contains("has a subfolder valid/ and no train split; expected train/ or train_2x2/"));
}

TEST_CASE("A picture of another size is refused or resampled") {
  const TempFolder folder;
  write_square(folder / "a.png", 2, 10);
  write_square(folder / "b.png", 6, 20);
  const std::string message = error_of([&] { open_dataset(folder.path(), kTest); });
  CHECK_THAT(message, contains("b.png: has 6x6 pixels; expected 2x2, the size needed"));
  CHECK_THAT(message, contains("--resize"));

  const auto resized = open_dataset(folder.path(), {.width = 2, .height = 2, .resize = true});
  CHECK(first_byte(*resized, 0) == 10);
  CHECK(first_byte(*resized, 1) == 20);
}

// Writes what is left of a picture when it is cut off.
void write_half(const fs::path& path) {
  write_square(path, 2, 10);
  const std::string whole = read_text(path);
  write_text(path, whole.substr(0, whole.size() / 2));
}

TEST_CASE("A damaged picture is an Error, also if it is damaged later") {
  const TempFolder folder;
  write_square(folder / "a.png", 2, 10);
  const auto dataset = open_dataset(folder.path(), kTest);
  write_half(folder / "a.png");
  CHECK_THAT(error_of([&] { first_byte(*dataset, 0); }),
             contains("a.png: is a PNG picture that is damaged"));
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), kTest); }),
             contains("a.png: is a PNG picture that is damaged"));
  // A file named on its own is meant to be a picture if it is called one.
  write_text(folder / "c.png", "no picture");
  CHECK_THAT(error_of([&] { open_dataset(folder / "c.png", kTest); }),
             contains("c.png: is not a picture that can be read; it is text"));
}

TEST_CASE("Pictures that can't be used are left out and told, if that is wanted") {
  const TempFolder folder;
  write_half(folder / "a.png");
  write_square(folder / "b.png", 2, 20);
  write_square(folder / "c.png", 3, 30);
  write_square(folder / "d.png", 2, 40);
  write_half(folder / "e.png");
  std::vector<std::string> bad;
  DatasetOptions options = kTest;
  options.threads = 2;
  options.on_bad = [&](const std::string& why) { bad.push_back(why); };
  int64_t checked = 0;
  options.checking_pictures = [&](const fs::path& path, int64_t done, int64_t total) {
    CHECK(path == folder.path());
    CHECK(done == ++checked);
    CHECK(total == 5);
  };
  const auto dataset = open_dataset(folder.path(), options);
  CHECK(checked == 5);
  REQUIRE(dataset->size() == 2);
  CHECK(first_byte(*dataset, 0) == 20);
  CHECK(first_byte(*dataset, 1) == 40);
  REQUIRE(bad.size() == 3);
  CHECK_THAT(bad[0], contains("a.png: is a PNG picture that is damaged"));
  CHECK_THAT(bad[1], contains("c.png: has 3x3 pixels"));
  CHECK_THAT(bad[2], contains("e.png: is a PNG picture that is damaged"));

  // No more are looked at than are wanted and can be used.
  options.checking_pictures = {};
  options.checked = 1;
  CHECK(open_dataset(folder.path(), options)->size() == 4);
  CHECK(bad.size() == 4);
  options.checked = 2;
  const auto two = open_dataset(folder.path(), options);
  CHECK(bad.size() == 6);
  CHECK(first_byte(*two, 0) == 20);
  CHECK(first_byte(*two, 1) == 40);
  options.checked = std::nullopt;
  fs::remove(folder / "b.png");
  fs::remove(folder / "d.png");
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), options); }),
             contains("none of 3 pictures can be used"));
}

TEST_CASE("What checking pictures throws ends it") {
  const TempFolder folder;
  write_square(folder / "a.png", 2, 10);
  DatasetOptions options = kTest;
  options.checking_pictures = [](const fs::path&, int64_t, int64_t) { throw Error("enough"); };
  CHECK(error_of([&] { open_dataset(folder.path(), options); }) == "enough");
}

// The options, with the notices written to `lines`.
DatasetOptions noting(DatasetOptions options, std::vector<std::string>& lines) {
  options.notice = [&lines](const std::string& line) { lines.push_back(line); };
  return options;
}

TEST_CASE("Class folders are read, also with a stray picture beside them") {
  const TempFolder folder;
  write_square(folder / "train/cat/a.png", 2, 1);
  write_square(folder / "train/dog/b.png", 2, 2);
  write_square(folder / "train/stray.png", 2, 3);
  write_square(folder / "valid/dog/c.png", 2, 4);
  std::vector<std::string> notices;
  const auto train = open_dataset(folder.path(), noting(kTrain, notices));
  REQUIRE(train->size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(first_byte(*train, i) == i + 1);
  CHECK(first_byte(*open_dataset(folder.path(), noting(kTest, notices)), 0) == 4);
  CHECK(notices.empty());
}

TEST_CASE("Files by the pictures that are none are noticed, also if there is no picture") {
  const TempFolder folder;
  write_text(folder / "a.txt", "text");
  std::vector<std::string> notices;
  const DatasetOptions options = noting(kTest, notices);
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), options); }),
             contains("isn't a data set of a known kind"));
  write_square(folder / "b.png", 2, 1);
  CHECK(open_dataset(folder.path(), options)->size() == 1);
  CHECK(open_dataset(folder.path(), kTest)->size() == 1);  // nobody to be told
  const std::string path = folder.path().string();
  CHECK(notices == std::vector<std::string>{path + ": 0 images, 1 ignored (not pictures: a.txt)",
                                            path + ": 1 image, 1 ignored (not pictures: a.txt)"});
}

TEST_CASE("Folders and pictures beside the folders of the splits are noticed") {
  const TempFolder folder;
  write_square(folder / "train/a.png", 2, 1);
  write_square(folder / "val/a.png", 2, 2);
  write_square(folder / "train_6x6/a.png", 6, 3);
  write_text(folder / "README", "text");
  write_square(folder / ".cache/a.png", 2, 4);
  std::vector<std::string> notices;
  const DatasetOptions options = noting(kTrain, notices);
  CHECK(open_dataset(folder.path(), options)->size() == 1);
  CHECK(notices.empty());
  write_square(folder / "bus/a.png", 2, 5);  // classes, one of which is called train
  write_square(folder / "stray.png", 2, 6);
  CHECK(open_dataset(folder.path(), options)->size() == 1);
  CHECK(notices == std::vector<std::string>{folder.path().string() +
                                            ": images of train/ only, 2 ignored (beside it: bus/, "
                                            "stray.png)"});
  CHECK(open_dataset(folder.path(), kTrain)->size() == 1);  // nobody to be told
}

TEST_CASE("Pictures kept for validation are found where a divided folder has them") {
  const TempFolder folder;
  const auto value = [&]() -> std::optional<int> {
    const auto own = open_validation(folder.path(), kTrain);
    return own ? std::optional(first_byte(*own->images, 0)) : std::nullopt;
  };
  write_square(folder / "a.png", 2, 1);
  CHECK_FALSE(value());
  fs::remove(folder / "a.png");
  write_square(folder / "train/a.png", 2, 2);
  CHECK_FALSE(value());
  write_square(folder / "test/dog/a.png", 2, 3);
  CHECK(value() == 3);
  write_square(folder / "valid_2x2/a.png", 2, 4);
  CHECK(value() == 4);
  write_square(folder / "val/a.png", 2, 5);
  CHECK(value() == 5);
  write_square(folder / "valid/a.png", 2, 6);
  CHECK(value() == 6);
  CHECK(open_validation(folder.path(), kTrain)->path == folder / "valid");
  CHECK_FALSE(open_validation(folder / "train", kTrain));
  CHECK_FALSE(open_validation(folder / "train/a.png", kTrain));
  CHECK_THAT(error_of([&] { open_validation(folder / "none", kTrain); }),
             contains("none: can't open the data set: No such file"));
}

TEST_CASE("An unknown kind of path is an Error that lists the known kinds") {
  const TempFolder folder;
  const auto error = [](const fs::path& path) {
    return error_of([&] { open_dataset(path, kTest); });
  };
  const char* const kinds = "expected CIFAR-10 in its binary version";
  CHECK_THAT(error(folder.path()), contains(kinds));
  std::ofstream(folder / "notes.txt") << "text";
  CHECK_THAT(error(folder.path()), contains(kinds));
  CHECK_THAT(error(folder / "notes.txt"), contains("notes.txt: isn't a data set of a known kind"));
  fs::create_directory(folder / "test");
  CHECK_THAT(error(folder.path()), contains("test: isn't a data set of a known kind"));
  CHECK_THAT(error(folder / "none"), contains("none: can't open the data set: No such file"));
}

}  // namespace
}  // namespace combiner

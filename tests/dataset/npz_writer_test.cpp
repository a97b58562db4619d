#include "dataset/npz_writer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "catch.h"
#include "dataset/npz_images.h"
#include "error_of.h"
#include "file_text.h"
#include "random.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

std::vector<std::vector<uint8_t>> some_images(int size, int count) {
  Random random(7);
  std::vector<std::vector<uint8_t>> images;
  for (int i = 0; i < count; ++i)
    images.push_back(random.bytes(static_cast<size_t>(3 * size * size)));
  return images;
}

bool write(const fs::path& path, NpzCompression compression, int size,
           const std::vector<std::vector<uint8_t>>& images, const Cancel& cancel = {}) {
  NpzWriter writer(path, size, compression);
  for (size_t i = 0; i < images.size(); ++i) writer.add(images[i], static_cast<int64_t>(i) + 1);
  CHECK(writer.records() == static_cast<int64_t>(images.size()));
  return writer.finish(cancel);
}

TEST_CASE("A written npz is read back") {
  const TempFolder folder;
  for (const NpzCompression compression : {NpzCompression::stored, NpzCompression::deflated}) {
    for (const int count : {0, 1, 9}) {
      const auto images = some_images(5, count);
      const fs::path path = folder / "images.npz";
      REQUIRE(write(path, compression, 5, images));
      const auto dataset = open_npz(path, {.width = 5, .height = 5, .scratch = folder.path()});
      REQUIRE(dataset->size() == count);
      for (int i = 0; i < count; ++i) {
        std::vector<uint8_t> pixels(75);
        dataset->read(i, pixels);
        CHECK(pixels == images[static_cast<size_t>(i)]);
      }
    }
  }
}

TEST_CASE("The same images make the same npz file") {
  const TempFolder folder;
  const auto images = some_images(8, 20);
  for (const NpzCompression compression : {NpzCompression::stored, NpzCompression::deflated}) {
    REQUIRE(write(folder / "a.npz", compression, 8, images));
    REQUIRE(write(folder / "b.npz", compression, 8, images));
    CHECK(read_text(folder / "a.npz") == read_text(folder / "b.npz"));
  }
}

TEST_CASE("An npz is written where a link leads") {
  const TempFolder folder;
  fs::create_directory(folder / "real");
  fs::create_symlink("real/a.npz", folder / "link.npz");
  const auto images = some_images(4, 2);
  REQUIRE(write(folder / "link.npz", NpzCompression::stored, 4, images));
  CHECK(fs::is_symlink(folder / "link.npz"));
  fs::create_symlink("/dev/null", folder / "nowhere.npz");
  CHECK_THAT(error_of([&] { write(folder / "nowhere.npz", NpzCompression::stored, 4, images); }),
             contains("/dev/null: can't be replaced by a new file"));
  CHECK(fs::is_character_file("/dev/null"));
  const fs::path pipe = folder / "pipe.npz";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(error_of([&] { write(pipe, NpzCompression::stored, 4, images); }),
             contains("can't be replaced by a new file"));
  CHECK(open_npz(folder / "real/a.npz", {.width = 4, .height = 4})->size() == 2);
}

TEST_CASE("Cancelling or not finishing an npz leaves the existing file unchanged") {
  const TempFolder folder;
  const fs::path path = write_text(folder / "images.npz", "older");
  const auto images = some_images(16, 300);
  CHECK_FALSE(write(path, NpzCompression::deflated, 16, images, Cancel([] { return true; })));
  { NpzWriter(path, 16, NpzCompression::stored).add(images[0], 1); }
  CHECK(read_text(path) == "older");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
  REQUIRE(write(path, NpzCompression::stored, 16, images));
  CHECK(read_text(path).size() > 300 * 768);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("An npz that can't be written is an Error") {
  const TempFolder folder;
  CHECK_THAT(error_of([&] { NpzWriter(folder / "none/a.npz", 8, NpzCompression::stored); }),
             contains("none: can't create a temporary file there: No such file"));
  fs::create_directory(folder / "a.npz");
  CHECK_THAT(error_of([&] { write(folder / "a.npz", NpzCompression::stored, 8, {}); }),
             contains("a.npz: is a folder"));
}

}  // namespace
}  // namespace combiner

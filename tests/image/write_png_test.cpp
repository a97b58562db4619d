#include "image/write_png.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <stdexcept>

#include "catch.h"
#include "error_of.h"
#include "image/read_image.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

Image random_image(int width, int height) {
  std::mt19937 random(1);
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  std::ranges::generate(image.pixels, [&] { return static_cast<uint8_t>(random()); });
  return image;
}

// Limits the size of this process's files to `bytes`, to simulate a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, saved_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit saved_{};
  sighandler_t handler_;
};

TEST_CASE("A PNG reads back as written") {
  const TempFolder folder;
  const fs::path path = folder / "image.png";
  for (const auto& [width, height] : {std::pair(1, 1), {7, 5}, {32, 32}, {1, 300}, {129, 65}}) {
    const Image image = random_image(width, height);
    write_png(path, image);  // overwrites the previous one
    CHECK(read_image(path) == image);
  }
  const Image flat{200, 100, std::vector<uint8_t>(3 * 200 * 100, 77)};
  write_png(path, flat);
  CHECK(read_image(path) == flat);
  CHECK(fs::file_size(path) < 2000);
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("A PNG that can't be written is an Error and leaves nothing behind") {
  const TempFolder folder;
  const Image image = random_image(64, 64);
  CHECK_THAT(error_of([&] { write_png(folder / "none" / "a.png", image); }),
             contains("none/a.png: can't create the file: No such file"));
  CHECK_THAT(error_of([&] { write_png(folder.path(), image); }), contains("is a folder"));
  CHECK_THAT(error_of([&] { write_png("/dev/full", image); }),
             contains("/dev/full: can't write the file: No space left"));
  CHECK(fs::is_character_file("/dev/full"));

  const fs::path path = folder / "kept.png";
  const Image old = random_image(2, 2);
  write_png(path, old);
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = error_of([&] { write_png(path, image); });
  }
  CHECK_THAT(message, contains("kept.png: can't write the file: File too large"));
  CHECK(read_image(path) == old);
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("An image whose number of pixels doesn't match its size isn't written") {
  const TempFolder folder;
  CHECK_THROWS_AS(write_png(folder / "a.png", Image{2, 2, std::vector<uint8_t>(11)}),
                  std::invalid_argument);
  CHECK_THROWS_AS(write_png(folder / "a.png", Image{}), std::invalid_argument);
  CHECK(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace combiner

#include "image/read_image.h"

#include <cstdlib>
#include <future>
#include <optional>
#include <vector>

#include "catch.h"
#include "error_of.h"
#include "image/picture_files.h"
#include "image/stderr_of.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// Writes the bytes to a file and reads it as an image.
Image read_bytes(const Bytes& bytes, const char* name = "picture") {
  const TempFolder folder;
  write_bytes(folder / name, bytes);
  return read_image(folder / name);
}

std::string error_of_bytes(const Bytes& bytes) {
  return error_of([&] { read_bytes(bytes); });
}

// An image of 3 x 2 pixels.
const Bytes kSamples = {1, 2, 3, 40, 50, 60, 255, 0, 128, 7, 8, 9, 0, 255, 1, 100, 99, 98};
const Image kImage{3, 2, kSamples};

const Bytes kBmpRows = {9, 8, 7, 1,  255, 0,  98,  99, 100, 0, 0, 0,
                        3, 2, 1, 60, 50,  40, 128, 0,  255, 0, 0, 0};

Bytes ppm() { return join({bytes_of("P6\n3 2\n255\n"), kSamples}); }

TEST_CASE("Lossless formats give their pixels as red, green, blue") {
  CHECK(read_bytes(png(3, 2, 8, png_rgb, kSamples)) == kImage);
  CHECK(read_bytes(bmp(3, 2, 24, kBmpRows)) == kImage);
  CHECK(read_bytes(ppm()) == kImage);
  CHECK(read_bytes(rgb_tiff(3, 2, 8, kSamples)) == kImage);
}

TEST_CASE("Grey becomes red = green = blue") {
  const Image expected{2, 2, {0, 0, 0, 17, 17, 17, 200, 200, 200, 255, 255, 255}};
  CHECK(read_bytes(png(2, 2, 8, png_grey, {0, 17, 200, 255})) == expected);
  CHECK(read_bytes(join({bytes_of("P5\n2 2\n255\n"), {0, 17, 200, 255}})) == expected);
  const Image black_and_white{2, 1, {255, 255, 255, 0, 0, 0}};
  CHECK(read_bytes(png(2, 1, 1, png_grey, {0x80})) == black_and_white);
}

TEST_CASE("A palette image gets its palette's colours") {
  const Image expected{2, 1, {10, 20, 30, 200, 100, 50}};
  const Bytes palette = png_chunk("PLTE", {200, 100, 50, 10, 20, 30});
  CHECK(read_bytes(png(2, 1, 8, png_palette, {1, 0}, palette)) == expected);
  CHECK(read_bytes(png(2, 1, 1, png_palette, {0x80}, palette)) == expected);
  CHECK(read_bytes(bmp(2, 1, 8, {1, 0, 0, 0}, {50, 100, 200, 0, 30, 20, 10, 0})) == expected);
}

TEST_CASE("An opaque alpha channel is dropped, and any other is refused") {
  CHECK(read_bytes(png(2, 1, 8, png_rgba, {1, 2, 3, 255, 4, 5, 6, 255})) ==
        Image{2, 1, {1, 2, 3, 4, 5, 6}});
  CHECK(read_bytes(png(1, 1, 8, png_grey_alpha, {9, 255})) == Image{1, 1, {9, 9, 9}});

  const std::string message = error_of_bytes(png(2, 2, 8, png_rgba,
                                                 {1, 2, 3, 255, 4, 5, 6, 255,  //
                                                  1, 2, 3, 255, 4, 5, 6, 254}));
  CHECK_THAT(message, contains("picture: is transparent: alpha 254 at row 1, column 1"));
  CHECK_THAT(message, contains("flatten"));
  CHECK_THAT(error_of_bytes(png(1, 1, 8, png_grey_alpha, {9, 0})), contains("alpha 0"));
  const Bytes palette = join({png_chunk("PLTE", {1, 2, 3}), png_chunk("tRNS", {128})});
  CHECK_THAT(error_of_bytes(png(1, 1, 8, png_palette, {0}, palette)), contains("alpha 128"));
}

TEST_CASE("Samples without exactly 8 bits are refused") {
  const char* const expected = "picture: has samples of 16 bits; expected 8; convert it first";
  CHECK_THAT(error_of_bytes(png(1, 1, 16, png_grey, {1, 2})), contains(expected));
  CHECK_THAT(error_of_bytes(png(1, 1, 16, png_rgb, {7, 7, 8, 8, 9, 9})), contains(expected));
  CHECK_THAT(error_of_bytes(rgb_tiff(1, 1, 16, {0, 1, 0, 1, 0, 1})), contains(expected));
  CHECK_THAT(error_of_bytes(join({bytes_of("P5\n1 1\n65535\n"), {1, 2}})), contains(expected));
  CHECK_THAT(error_of_bytes(rgb_tiff(1, 1, 32, Bytes(12))), contains("32 bits, floating-point"));
}

TEST_CASE("A JPEG is read and rotated upright") {
  const auto is_near = [](const Image& image, int x, int y, std::initializer_list<int> colour) {
    const uint8_t* pixel = &image.pixels[static_cast<size_t>(3 * (y * image.width + x))];
    for (const int value : colour) {
      if (std::abs(*pixel++ - value) > 8) return false;
    }
    return true;
  };
  const std::initializer_list<int> orange = {200, 120, 40};
  const std::initializer_list<int> blue = {20, 60, 200};

  const Image plain = read_bytes(small_jpeg());
  REQUIRE(plain.width == 16);
  REQUIRE(plain.height == 8);
  CHECK(is_near(plain, 0, 7, orange));
  CHECK(is_near(plain, 15, 0, blue));

  const Image turned = read_bytes(turned_jpeg(6));  // the tag asks for a quarter turn clockwise
  REQUIRE(turned.width == 8);
  REQUIRE(turned.height == 16);
  CHECK(is_near(turned, 0, 0, orange));
  CHECK(is_near(turned, 7, 15, blue));
}

TEST_CASE("A truncated picture is refused, and nothing is printed") {
  const std::vector<Bytes> pictures = {png(3, 2, 8, png_rgb, kSamples), bmp(3, 2, 24, kBmpRows),
                                       ppm(), rgb_tiff(3, 2, 8, kSamples), turned_jpeg(1)};
  const TempFolder folder;
  const fs::path path = folder / "cut";
  std::vector<std::string> wrong;
  const std::string printed = stderr_of([&] {
    for (const Bytes& picture : pictures) {
      for (size_t size = 0; size < picture.size(); ++size) {
        write_bytes(path, std::span(picture).first(size));
        const std::string message = error_of([&] { read_image(path); });
        if (message.find("cut: ") == std::string::npos) {
          wrong.push_back(std::to_string(size) + " of " + std::to_string(picture.size()) +
                          " bytes: " + message);
        }
      }
    }
  });
  CHECK(wrong == std::vector<std::string>{});
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  CHECK(printed == "");
}

TEST_CASE("A picture with any byte changed is read or refused, and nothing is printed") {
  const TempFolder folder;
  const fs::path path = folder / "changed";
  // For every changed byte the image, or nullopt if reading threw an Error.
  const auto read_all_changes = [&](Bytes picture) {
    std::vector<std::optional<Image>> images;
    for (uint8_t& byte : picture) {
      const uint8_t original = byte;
      for (const int change : {0x01, 0x80, 0xFF}) {
        byte = static_cast<uint8_t>(original ^ change);
        write_bytes(path, picture);
        try {
          images.push_back(read_image(path));
        } catch (const Error&) {
          images.push_back(std::nullopt);
        }
      }
      byte = original;
    }
    return images;
  };
  std::vector<std::optional<Image>> from_png;
  const std::string printed = stderr_of([&] {
    from_png = read_all_changes(png(3, 2, 8, png_rgb, kSamples));
    for (const Bytes& picture :
         {bmp(3, 2, 24, kBmpRows), ppm(), rgb_tiff(3, 2, 8, kSamples), turned_jpeg(1)}) {
      read_all_changes(picture);
    }
  });
  // Only PNG has checksums that guarantee the right pixels.
  for (const auto& image : from_png) CHECK((!image || *image == kImage));
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  CHECK(printed == "");
}

TEST_CASE("A path that isn't a picture is refused by name") {
  const TempFolder folder;
  CHECK_THAT(error_of([&] { read_image(folder / "none.png"); }),
             contains("none.png: can't open the file: No such file"));
  CHECK_THAT(error_of([&] { read_image(folder.path()); }),
             contains("is a folder; expected a file"));
  CHECK_THAT(error_of([&] { read_image("/dev/zero"); }), contains("/dev/zero: is a device"));
  CHECK_THAT(error_of_bytes({}), contains("picture: is empty"));
  CHECK_THAT(error_of_bytes(bytes_of("These words aren't a picture.")),
             contains("picture: isn't an image of a format that OpenCV reads"));
}

TEST_CASE("A picture that claims an enormous size is refused") {
  const std::string message = error_of_bytes(bmp(2'000'000, 2'000'000, 24, kBmpRows));
  CHECK_THAT(message, contains("picture: is damaged, truncated, too large"));
  CHECK_THAT(message, contains("OpenCV: "));
  // Within OpenCV's limits but beyond ours. Most of the file is a hole.
  const TempFolder folder;
  const fs::path path = folder / "big.pgm";
  write_bytes(path, bytes_of("P5\n20000 10000\n255\n"));
  fs::resize_file(path, 19 + 200'000'000);
  CHECK_THAT(error_of([&] { read_image(path); }),
             contains("big.pgm: is too large: 20000x10000 pixels"));
}

TEST_CASE("Several threads can read at once") {
  const TempFolder folder;
  const fs::path path = folder / "shared.png";
  write_bytes(path, png(3, 2, 8, png_rgb, kSamples));
  std::vector<std::future<bool>> equal;
  for (int thread = 0; thread < 4; ++thread) {
    equal.push_back(std::async(std::launch::async, [&] {
      for (int i = 0; i < 50; ++i) {
        if (read_image(path) != kImage) return false;
      }
      return true;
    }));
  }
  for (auto& each : equal) CHECK(each.get());
}

TEST_CASE("Pictures in a folder are listed by name") {
  const TempFolder folder;
  for (const char* name : {"b.png", "a.JPG", "c.tiff", ".hidden.png", "notes.txt", "png"}) {
    write_bytes(folder / name, bytes_of("x"));
  }
  fs::create_directory(folder / "folder.png");
  const std::vector<std::string> expected = {"a.JPG", "b.png", "c.tiff"};
  CHECK(list_images(folder.path()) == expected);
  CHECK(list_images(folder / "folder.png").empty());
  CHECK_THAT(error_of([&] { list_images(folder / "none"); }),
             contains("none: can't list the folder: No such file"));
}

TEST_CASE("Pictures below a folder are listed by their relative names") {
  const TempFolder folder;
  for (const char* name : {"b.png", "z/c.JPEG", "z/deep/a.png", "a/d.png", ".hidden/e.png",
                           "a/.f.png", "a/notes.txt"}) {
    fs::create_directories((folder / name).parent_path());
    write_bytes(folder / name, bytes_of("x"));
  }
  fs::create_directory(folder / "folder.png");
  fs::create_directory_symlink(folder / "a", folder / "link");
  fs::create_symlink(folder / "b.png", folder / "a/linked.png");
  const std::vector<std::string> expected = {"a/d.png", "a/linked.png", "b.png", "z/c.JPEG",
                                             "z/deep/a.png"};
  CHECK(list_images_below(folder.path()) == expected);
  CHECK(list_images_below(folder.path() / "") == expected);
  CHECK(list_images_below(folder / "folder.png").empty());
  CHECK_THAT(error_of([&] { list_images_below(folder / "none"); }),
             contains("none: can't list the folder: No such file"));
}

}  // namespace
}  // namespace combiner

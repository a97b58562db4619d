#include "image/read_image.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "catch.h"
#include "data_folders.h"
#include "error_of.h"
#include "file_text.h"
#include "image/check_size.h"
#include "image/picture_files.h"
#include "image/stderr_of.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

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

TEST_CASE("A grey PNG may name a grey that is transparent, but not have it") {
  const Bytes three = png_chunk("tRNS", {0, 3});
  CHECK(read_bytes(png(2, 1, 8, png_grey, {1, 2}, three)) == Image{2, 1, {1, 1, 1, 2, 2, 2}});
  CHECK_THAT(error_of_bytes(png(2, 2, 8, png_grey, {1, 2, 1, 3}, three)),
             contains("picture: is transparent: alpha 0 at row 1, column 1"));
  const Bytes one = png_chunk("tRNS", {0, 1});  // of 2 bits, so 85 of 8
  CHECK_THAT(error_of_bytes(png(4, 1, 2, png_grey, {0b11100100}, one)),
             contains("picture: is transparent: alpha 0 at row 0, column 2"));
}

TEST_CASE("Samples without exactly 8 bits are refused") {
  const char* const expected = "picture: has samples of 16 bits; expected 8; convert it first";
  CHECK_THAT(error_of_bytes(png(1, 1, 16, png_grey, {1, 2})), contains(expected));
  CHECK_THAT(error_of_bytes(png(1, 1, 16, png_rgb, {7, 7, 8, 8, 9, 9})), contains(expected));
  CHECK_THAT(error_of_bytes(rgb_tiff(1, 1, 16, {0, 1, 0, 1, 0, 1})), contains(expected));
  CHECK_THAT(error_of_bytes(join({bytes_of("P5\n1 1\n65535\n"), {1, 2}})), contains(expected));
  CHECK_THAT(error_of_bytes(rgb_tiff(1, 1, 32, Bytes(12))), contains("32 bits, floating-point"));
  CHECK_THAT(error_of_bytes(bmp(2, 1, 16, {0xFF, 0x7F, 0, 0})),
             contains("picture: is a BMP of 16 bits a pixel, so 5 or 6 a sample; expected 8"));
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

TEST_CASE("What names a picture in memory is not looked for as a file") {
  const TempFolder folder;
  const fs::path path = folder / "whole.png";
  write_bytes(path, png(3, 2, 8, png_rgb, kSamples));
  CHECK_THAT(error_of([&] {
               decode_image({0x80, 0, 1, 2}, path.string());
             }),
             contains("whole.png: is not a picture that can be read; expected PNG, JPEG"));
}

// OpenCV decodes some formats from a copy in a temporary file, and leaves that behind if the
// picture has an impossible size. So whoever sent such pictures to a server would fill its disk.
TEST_CASE("No picture leaves a temporary file behind") {
  constexpr const char* kVariable = "OPENCV_TEMP_PATH";  // OpenCV looks at it for every picture
  const TempFolder folder;
  REQUIRE(::setenv(kVariable, folder.path().c_str(), 1) == 0);
  const Bytes one = {0, 0, 0, 1}, none = {0, 0, 0, 0}, bits = {0, 0, 0, 8};
  const Bytes flat_sun_raster =
      join({bytes_of("\x59\xA6\x6A\x95"), one, none, bits, one, one, none, none, one});
  for (const Bytes& picture :
       {png(0, 2, 8, png_rgb, {}), rgb_tiff(3, 0, 8, kSamples), bmp(3, 0, 24, kBmpRows),
        bytes_of("PF\n7 0\n-1\n"), bytes_of("P7\nWIDTH 7\nHEIGHT 0\nDEPTH 1\nMAXVAL 255\nENDHDR\n"),
        bytes_of("P7 7 0\n"), bytes_of("#?RADIANCE\n\n-Y 0 +X 7\n"), flat_sun_raster}) {
    CHECK_THROWS_AS(decode_image(picture, "picture"), Error);
    INFO(std::string(picture.begin(), picture.begin() + 4));
    CHECK(fs::is_empty(folder.path()));
  }
  ::unsetenv(kVariable);
}

TEST_CASE("Pictures of other formats are refused by the format's name") {
  const auto error = [](std::string_view start) {
    return error_of([&] { decode_image(bytes_of(start), "x"); });
  };
  CHECK(error("GIF89a....") ==
        "x: is not a picture that can be read; it is a GIF picture: convert it to PNG first");
  CHECK_THAT(error("\xFF\x4F\xFF\x51"), contains("it is a JPEG 2000 picture: "));
  CHECK_THAT(error("....ftypavif"), contains("it is an AVIF picture: "));
  CHECK_THAT(error("Pf\n1 1\n"), contains("it is a PFM picture, of floating-point samples; "));
  CHECK_THAT(error("#?RADIANCE\n"), contains("it is an HDR picture, "));
  CHECK_THAT(error("\x59\xA6\x6A\x95..."), contains("it is a Sun raster picture: "));
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
             contains("picture: is not a picture that can be read; it is text"));
}

TEST_CASE("A picture that claims an enormous size is refused") {
  const std::string message = error_of_bytes(bmp(2'000'000, 2'000'000, 24, kBmpRows));
  CHECK_THAT(message, contains("picture: is a BMP picture that is damaged, truncated, too large"));
  CHECK_THAT(message, contains("OpenCV: "));
  // Within OpenCV's limits but beyond ours. Most of the file is a hole.
  const TempFolder folder;
  const fs::path path = folder / "big.pgm";
  write_bytes(path, bytes_of("P5\n20000 10000\n255\n"));
  fs::resize_file(path, 19 + 200'000'000);
  CHECK_THAT(error_of([&] { read_image(path); }),
             contains("big.pgm: is too large: 20000x10000 pixels"));
}

TEST_CASE("A lower limit on the size of pictures holds before they are decoded") {
  const int64_t before = most_pixels();
  limit_pixels(5);
  const Bytes whole = png(3, 2, 8, png_rgb, kSamples), start = {whole.begin(), whole.begin() + 24};
  for (const Bytes& picture : {ppm(), bytes_of("P6\n3 2\n255\n"), whole, start})
    CHECK(error_of_bytes(picture).ends_with(
        "picture: is too large: 3x2 pixels; expected at most 5 in all"));
  CHECK_THAT(error_of_bytes(small_jpeg()),
             contains("picture: is too large: 16x8 pixels; expected at most 5 in all"));
  CHECK_THROWS_AS(read_bytes(small_jpeg()), TooLarge);
  limit_pixels(before);
  CHECK(read_bytes(ppm()) == kImage);
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

TEST_CASE("PNM samples are scaled from the file's maxval, as Netpbm shows them") {
  for (const int maxval : {1, 2, 3, 7, 15, 31, 99, 100, 127, 200, 254, 255}) {
    INFO("maxval " << maxval);
    Bytes samples, scaled;
    std::string words;
    for (int v = 0; v <= maxval; ++v) {
      samples.push_back(static_cast<uint8_t>(v));
      words += std::to_string(v) + (v % 10 == 9 ? "\n" : " ");
      const auto exact = static_cast<uint8_t>(std::floor(v * 255.0 / maxval + 0.5));
      scaled.insert(scaled.end(), 3, exact);
    }
    const std::string size = std::to_string(maxval + 1) + " 1\n" + std::to_string(maxval) + "\n";
    const Image expected{maxval + 1, 1, scaled};
    CHECK(read_bytes(join({bytes_of("P5\n# a comment\n" + size), samples})) == expected);
    CHECK(read_bytes(bytes_of("P2 #c\n" + size + words)) == expected);
    CHECK(read_bytes(join({bytes_of("P7\nWIDTH " + std::to_string(maxval + 1) +
                                    "\n# c\nHEIGHT 1\nDEPTH 1\nMAXVAL " + std::to_string(maxval) +
                                    "\nTUPLTYPE GRAYSCALE\nENDHDR\n"),
                           samples})) == expected);
  }
  const Image colours{2, 1, {0, 128, 255, 51, 102, 26}};
  CHECK(read_bytes(join({bytes_of("P6 2 1 10\n"), {0, 5, 10, 2, 4, 1}})) == colours);
  CHECK(read_bytes(bytes_of("P3\n2 1\n10\n0 5 10\n2 4 1\n")) == colours);
  CHECK(read_bytes(join({bytes_of("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 10\nENDHDR\n"),
                         {0, 5, 10, 10, 2, 4, 1, 10}})) == colours);
  CHECK(read_bytes(join({bytes_of("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 2\nMAXVAL 10\nENDHDR\n"),
                         {5, 10}})) == Image{1, 1, {128, 128, 128}});
}

TEST_CASE("PBM bits are black and white, in rows of whole bytes") {
  Bytes pixels;
  for (const uint8_t value :
       Bytes{0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 255, 255, 255, 255, 255, 0})
    pixels.insert(pixels.end(), 3, value);
  const Image expected{9, 2, pixels};
  CHECK(read_bytes(join({bytes_of("P4\n9 2\n"), {0xAA, 0x80, 0x40, 0x80}})) == expected);
  CHECK(read_bytes(bytes_of("P1\n9 2\n1 0 1 0 1 0 1 0 1\n010000001\n")) == expected);
}

TEST_CASE("Damaged PNM files are refused") {
  const auto error = [](const std::string& text) { return error_of_bytes(bytes_of(text)); };
  CHECK_THAT(error(std::string("P5\n2 1\n100\n\x64\x65", 13)),
             contains("picture: is damaged: has the sample 101; expected at most its maxval, 100"));
  CHECK_THAT(error("P2\n2 1\n100\n100 101\n"), contains("has the sample 101"));
  CHECK_THAT(error("P2\n2 1\n100\n100 x\n"), contains("no sample at byte 15"));
  CHECK_THAT(error("P2\n2 2\n100\n1 2 3"), contains("truncated"));
  CHECK_THAT(error("P5\n2 2\n100\n123"), contains("3 bytes after its header; expected at least 4"));
  CHECK_THAT(error("P4\n9 2\n123"), contains("3 bytes after its header; expected at least 4"));
  CHECK_THAT(error("P1\n2 1\n0 2\n"), contains("no 0 or 1 at byte 9"));
  CHECK_THAT(error("P5\n2 1\n0\n12"), contains("has the maxval 0; expected 1 to 255"));
  CHECK_THAT(error("P5\n2 1\n70000\n12"), contains("has a maxval above 65535"));
  CHECK_THAT(error("P5\n0 1\n255\n"), contains("has no pixels"));
  CHECK_THAT(error("P5\n99999999 99999999\n255\n"), contains("is too large"));
  CHECK_THAT(error("P5\n99999999999999999999 1\n255\n"), contains("has a width above"));
  CHECK_THAT(error("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 5\nMAXVAL 255\nENDHDR\n12345"),
             contains("has 5 channels"));
  CHECK_THAT(error("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nENDHDR\n1234"),
             contains("is transparent: alpha 52"));
  CHECK_THAT(error("P7\nSIZE 1\n"), contains("its header has 'SIZE' where a field's name is due"));
}

// Where the compressed data of small_jpeg() begins; it ends before the last two bytes.
size_t jpeg_data_offset() {
  const Bytes jpeg = small_jpeg();
  const Bytes end_of_scan_header = {0x00, 0x3F, 0x00};
  return static_cast<size_t>(std::ranges::find_end(jpeg, end_of_scan_header).begin() -
                             jpeg.begin()) +
         end_of_scan_header.size();
}

Bytes changed_jpeg(const std::function<void(Bytes& data)>& change) {
  const Bytes jpeg = small_jpeg();
  const auto begin = jpeg.begin() + static_cast<std::ptrdiff_t>(jpeg_data_offset());
  Bytes data(begin, jpeg.end() - 2);
  change(data);
  return join({{jpeg.begin(), begin}, data, {0xFF, 0xD9}});
}

TEST_CASE("A JPEG with damaged data is refused with the decoder's words") {
  const auto error = [](const std::function<void(Bytes & data)>& change) {
    return error_of_bytes(changed_jpeg(change));
  };
  CHECK(error([](Bytes&) {}) == "no Error was thrown");
  const std::string start = "picture: is damaged: libjpeg says: ";
  // The middle zeroed, as by a bad sector: short codes leave bytes over.
  CHECK_THAT(error([](Bytes& data) { std::fill(data.begin() + 2, data.begin() + 9, 0); }),
             contains(start));
  CHECK_THAT(error([](Bytes& data) { data.resize(data.size() / 2); }),
             contains(start + "Corrupt JPEG data: premature end of data segment"));
  CHECK_THAT(error([](Bytes& data) { data.insert(data.end(), 40, 0x55); }),
             contains(start + "Corrupt JPEG data: 38 extraneous bytes before marker 0xd9"));
  CHECK_THAT(error([](Bytes& data) { std::fill(data.begin() + 3, data.end(), 0xFE); }),
             contains(start));
}

TEST_CASE("Oddities of a JPEG or PNG that do not change a pixel pass") {
  const Image plain = read_bytes(small_jpeg());
  Bytes odd = small_jpeg();
  odd[jpeg_data_offset() - 2] = 0x3E;  // the last coefficient that the scan claims to have
  CHECK(read_bytes(odd) == plain);
  odd = small_jpeg();
  odd[11] = 3;  // JFIF 3.1
  CHECK(read_bytes(odd) == plain);

  Bytes gamma = png_chunk("gAMA", {0, 1, 2, 3});
  gamma.back() ^= 1;  // libpng warns of its checksum
  CHECK(read_bytes(png(3, 2, 8, png_rgb, kSamples, gamma)) == kImage);
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  Bytes transparency = png_chunk("tRNS", {0, 1, 0, 2, 0, 3});
  transparency.back() ^= 1;
  CHECK_THAT(error_of_bytes(png(3, 2, 8, png_rgb, kSamples, transparency)),
             contains("picture: is damaged: the decoder says: libpng warning: tRNS: CRC error"));
}

TEST_CASE("A TIFF of signed samples, or of tiles larger than any picture, is refused") {
  CHECK_THAT(error_of_bytes(rgb_tiff(3, 2, 8, kSamples, 1, 1, true)),
             contains("has signed samples"));
  CHECK_THAT(error_of_bytes(rgb_tiff(3, 2, 8, kSamples, 1, 1, false, 1 << 16)),
             contains("is too large: has tiles of 65536 x 65536; expected at most"));
}

TEST_CASE("A BMP with the oldest header is refused") {
  const Bytes old =
      join({bytes_of("BM"), little_endian(26 + 4), little_endian(0), little_endian(26),
            little_endian(12), little_endian(1, 2), little_endian(1, 2), little_endian(1, 2),
            little_endian(24, 2), Bytes{9, 8, 16, 0}});
  CHECK_THAT(error_of_bytes(old), contains("is a BMP of OS/2's kind; convert it first"));
}

TEST_CASE("A JPEG of more scans than any encoder makes is refused") {
  const std::string text = read_text(golden_folder() / "../../fuzz/corpus/picture/progressive.jpg");
  // A scan that adds nothing to what is known of component 3 but its end, and may come again.
  const std::string scan = "\xFF\xDA\0\x08\x01\x03\x01\x01\x3F\0\x7F"s;
  const auto with_scans = [&](int more) {
    std::string repeated = text;
    for (int i = 0; i < more; ++i) repeated.insert(repeated.size() - 2, scan);
    return bytes_of(repeated);
  };
  CHECK(read_bytes(with_scans(100)) == read_bytes(bytes_of(text)));
  CHECK_THAT(error_of_bytes(with_scans(300)), contains("libjpeg says: more than 200 scans"));
}

TEST_CASE("A compressed TIFF with damaged data is refused") {
  // PackBits: 17 bytes, then one that is repeated.
  Bytes packed = {17};
  packed.insert(packed.end(), kSamples.begin(), kSamples.end());
  constexpr uint32_t kPackBits = 32773;
  CHECK(read_bytes(rgb_tiff(3, 2, 8, packed, 1, kPackBits)) == kImage);
  packed[0] = 3;  // so that the strip has too few bytes
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  CHECK_THAT(error_of_bytes(rgb_tiff(3, 2, 8, packed, 1, kPackBits)), contains("is damaged"));
}

// The pixel of the upright picture that a stored pixel of a width x height picture becomes, by the
// EXIF standard: orientation 6 means that row 0 is the right side, and so on.
Image turned(const Image& stored, int orientation) {
  const bool swapped = orientation >= 5;
  Image result{swapped ? stored.height : stored.width, swapped ? stored.width : stored.height,
               Bytes(stored.pixels.size())};
  for (int row = 0; row < stored.height; ++row)
    for (int column = 0; column < stored.width; ++column) {
      const int from_right = stored.width - 1 - column, from_bottom = stored.height - 1 - row;
      const std::pair<int, int> places[] = {
          {column, row}, {from_right, row},     {from_right, from_bottom}, {column, from_bottom},
          {row, column}, {from_bottom, column}, {from_bottom, from_right}, {row, from_right}};
      const auto [x, y] = places[orientation - 1];
      std::copy_n(&stored.pixels[static_cast<size_t>(3 * (row * stored.width + column))], 3,
                  &result.pixels[static_cast<size_t>(3 * (y * result.width + x))]);
    }
  return result;
}

TEST_CASE("The orientation tag holds for every format that has one") {
  const Image jpeg = read_bytes(small_jpeg());
  for (uint8_t orientation = 1; orientation <= 8; ++orientation) {
    INFO("orientation " << int{orientation});
    const Image expected = turned(kImage, orientation);
    CHECK(read_bytes(turned_jpeg(orientation)) == turned(jpeg, orientation));
    CHECK(read_bytes(png(3, 2, 8, png_rgb, kSamples, png_chunk("eXIf", exif_block(orientation)))) ==
          expected);
    CHECK(read_bytes(rgb_tiff(3, 2, 8, kSamples, orientation)) == expected);
    CHECK(read_bytes(turned_webp(orientation)) == expected);
  }
  CHECK(read_bytes(turned_webp(0)) == kImage);  // not a value of the tag
  CHECK(read_bytes(turned_webp(9)) == kImage);
}

TEST_CASE("EXIF data with any byte changed or cut never makes reading fail") {
  for (const uint8_t change : Bytes{0x01, 0x80, 0xFF})
    for (size_t at = 0; at < exif_block(6).size(); ++at) {
      Bytes block = exif_block(6);
      block[at] ^= change;
      for (const size_t size : {block.size(), at}) {
        block.resize(size);
        const Image image = read_bytes(png(3, 2, 8, png_rgb, kSamples, png_chunk("eXIf", block)));
        CHECK(image.width * image.height == 6);
      }
    }
}

}  // namespace
}  // namespace combiner

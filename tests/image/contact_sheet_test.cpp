#include "image/contact_sheet.h"

#include "catch.h"
#include "error_of.h"
#include "image/label.h"
#include "red_text.h"

namespace combiner {
namespace {

// An image of 1 x 1 pixel of one value.
Image dot(uint8_t value) { return {1, 1, {value, value, value}}; }

TEST_CASE("A contact sheet lays images out row by row") {
  const std::vector<Image> images = {dot(1), dot(2), dot(3)};
  CHECK(red(contact_sheet(images, 2, 2, 1)) ==
        ".....\n"
        ".1.2.\n"
        ".....\n"
        ".3...\n"
        ".....\n");
  CHECK(red(contact_sheet(images, 1, 3, 0)) == "123\n");
  CHECK(red(contact_sheet(images, 3, 1, 0)) == "1\n2\n3\n");
}

TEST_CASE("A contact sheet magnifies pixels but not gaps, and keeps colours") {
  const Image image{2, 1, {1, 11, 21, 2, 12, 22}};
  const Image sheet = contact_sheet(std::vector{image}, 1, 1, 1, 3);
  CHECK(red(sheet) ==
        "........\n"
        ".111222.\n"
        ".111222.\n"
        ".111222.\n"
        "........\n");
  const auto* pixel = &sheet.pixels[3 * (8 * 2 + 5)];
  CHECK(std::vector<int>(pixel, pixel + 3) == std::vector<int>{2, 12, 22});
}

TEST_CASE("Captions stand below their images, in places wide enough for all") {
  const std::vector<Image> images = {dot(1), dot(2), dot(3)};
  const std::vector<std::string> captions = {"a", "a wide caption", "two\nlines"};
  const Image widest = label(captions[1]);
  const Image sheet = contact_sheet(images, 2, 2, 3, 5, captions);
  const int cell_height = 5 + 4 + 2 * kTextLine;
  CHECK(sheet.width == 2 * widest.width + 3 * 3);
  CHECK(sheet.height == 2 * cell_height + 3 * 3);

  const auto part = [&](int left, int top, int width, int height) {
    Image cut{width, height, {}};
    for (int y = top; y < top + height; ++y) {
      const auto first = sheet.pixels.begin() + 3 * (y * sheet.width + left);
      cut.pixels.insert(cut.pixels.end(), first, first + 3 * width);
    }
    return cut;
  };
  const auto check_cell = [&](size_t index, int left, int top) {
    const Image text = label(captions[index]);
    const int middle = left + widest.width / 2;
    CHECK(part(middle - 5 / 2, top, 5, 5).pixels ==
          std::vector<uint8_t>(75, images[index].pixels[0]));
    CHECK(part(middle - text.width / 2, top + 5 + 4, text.width, text.height) == text);
  };
  check_cell(0, 3, 3);
  check_cell(1, 3 + widest.width + 3, 3);
  check_cell(2, 3, 3 + cell_height + 3);
}

TEST_CASE("An impossible contact sheet is an Error") {
  const std::vector<Image> images = {dot(1), dot(2), dot(3)};
  const auto error = [](const std::vector<Image>& all, int rows, int columns, int gap, int scale) {
    return error_of([&] { contact_sheet(all, rows, columns, gap, scale); });
  };
  CHECK_THAT(error({}, 1, 1, 0, 1), contains("0 images; expected 1 to 1 for 1 rows of 1"));
  CHECK_THAT(error(images, 1, 2, 0, 1), contains("3 images; expected 1 to 2"));
  CHECK_THAT(error(images, 0, 3, 0, 1), contains("0 rows"));
  CHECK_THAT(error(images, 1, -3, 0, 1), contains("-3 columns"));
  CHECK_THAT(error(images, 1, 3, -1, 1), contains("gap -1"));
  CHECK_THAT(error(images, 1, 3, 0, 0), contains("scale 0"));
  CHECK_THAT(error({dot(1), {2, 1, std::vector<uint8_t>(6)}}, 1, 2, 0, 1),
             contains("image 1 is 2x1 pixels; expected 1x1 as image 0"));
  const int most = 2147483647;
  CHECK_THAT(error(images, most, most, most, most), contains("use fewer rows"));
}

}  // namespace
}  // namespace combiner

#include "cli/half_blocks.h"

#include <algorithm>

#include "catch.h"

namespace combiner {
namespace {

TEST_CASE("Half blocks show two rows of pixels a line, in their colours") {
  const Image image{2, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255, 0, 128, 9, 9, 9}};
  CHECK(half_blocks(image, 80, 24) ==
        "\x1b[38;2;1;2;3m\x1b[48;2;7;8;9m\u2580\x1b[38;2;4;5;6m\x1b[48;2;10;11;12m\u2580\x1b[0m\n"
        "\x1b[38;2;255;0;128m\u2580\x1b[38;2;9;9;9m\u2580\x1b[0m\n");
}

TEST_CASE("Half blocks do not repeat a colour") {
  CHECK(half_blocks({2, 1, {5, 5, 5, 5, 5, 5}}, 80, 24) == "\x1b[38;2;5;5;5m\u2580\u2580\x1b[0m\n");
}

TEST_CASE("Half blocks fit into the terminal") {
  const auto size = [](int width, int height, int columns, int lines) {
    const std::string text = half_blocks(
        {width, height, std::vector<uint8_t>(size_t{3} * static_cast<size_t>(width * height))},
        columns, lines);
    size_t characters = 0;
    for (size_t at = 0; (at = text.find("\u2580", at)) != std::string::npos; ++at) ++characters;
    const auto shown_lines = static_cast<size_t>(std::ranges::count(text, '\n'));
    return std::pair(characters / shown_lines, shown_lines);
  };
  CHECK(size(80, 48, 80, 24) == std::pair<size_t, size_t>(80, 24));
  CHECK(size(81, 48, 80, 24) == std::pair<size_t, size_t>(41, 12));
  CHECK(size(80, 49, 80, 24) == std::pair<size_t, size_t>(40, 13));
  CHECK(size(400, 10, 80, 24) == std::pair<size_t, size_t>(80, 1));
  CHECK(size(10, 10, 0, 0) == std::pair<size_t, size_t>(1, 1));
}

}  // namespace
}  // namespace combiner

#include "image/png.h"

#include <stdexcept>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "random.h"
#include "temp_folder.h"

namespace combiner {
namespace {

const std::vector<PngText> kTexts = {
    {"Software", "a program"}, {"combiner", std::string(20000, 'x')}, {"empty", ""}};

Image random_image() {
  Random random(1);
  return {9, 7, random.bytes(3 * 9 * 7)};
}

TEST_CASE("A PNG keeps its text and its pixels") {
  const TempFolder folder;
  write_png(folder / "a.png", random_image(), kTexts);
  CHECK(is_png(folder / "a.png"));
  CHECK(read_png_texts(folder / "a.png") == kTexts);
  CHECK(read_image(folder / "a.png") == random_image());
  write_png(folder / "b.png", random_image());
  CHECK(read_png_texts(folder / "b.png").empty());
  CHECK(encode_png(random_image(), kTexts).size() > encode_png(random_image()).size() + 20000);
}

TEST_CASE("A damaged PNG is refused or read, whichever byte is changed and wherever it ends") {
  const TempFolder folder;
  write_png(folder / "a.png", random_image(), std::vector<PngText>{{"Software", "a program"}});
  const std::string bytes = read_text(folder / "a.png");
  const auto read = [&](const std::string& changed) {
    write_text(folder / "b.png", changed);
    size_t texts = 0;
    const std::string message = error_of([&] { texts = read_png_texts(folder / "b.png").size(); });
    CHECK(texts <= 1);
    CHECK((message == "no Error was thrown" || message.find("b.png: is ") != std::string::npos));
  };
  for (size_t i = 0; i < bytes.size(); ++i) {
    read(bytes.substr(0, i));
    for (const int change : {1, 0x80, 0xFF}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ change);
      read(changed);
    }
  }
  CHECK_FALSE(is_png(folder / "absent.png"));
  CHECK_THAT(error_of([&] { read_png_texts(folder / "absent.png"); }), contains("No such file"));
}

}  // namespace
}  // namespace combiner

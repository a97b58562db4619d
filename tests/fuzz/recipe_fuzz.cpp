// How a picture was made: PNG files, or only the text, which no checksum protects here.
#include <string>
#include <vector>

#include "cli/recipe.h"
#include "fuzz/fuzz.h"
#include "image/picture_format.h"
#include "image/png.h"

namespace combiner {
namespace {

void read_back(std::span<const uint8_t> file) {
  const Recipe recipe = read_recipe(MemoryFile(file).path());
  const std::string text = to_json(recipe).dump();
  const std::vector<std::byte> png = encode_png({1, 1, {1, 2, 3}}, made_by_texts(to_json(recipe)));
  const MemoryFile again({reinterpret_cast<const uint8_t*>(png.data()), png.size()});
  require(to_json(read_recipe(again.path())).dump() == text, "a recipe must survive its picture");
}

}  // namespace
}  // namespace combiner

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    if (is_png(std::span(data, size))) return read_back({data, size});
    const std::string text(reinterpret_cast<const char*>(data), size);
    const std::vector<PngText> texts = {{"combiner", text}};
    const std::vector<std::byte> png = encode_png({1, 1, {1, 2, 3}}, texts);
    read_back({reinterpret_cast<const uint8_t*>(png.data()), png.size()});
  });
}

#include "image/write_png.h"

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "base/output_file.h"
#include "combiner/error.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

namespace combiner {

void write_png(const std::filesystem::path& path, const Image& image) {
  const int64_t bytes = int64_t{3} * image.width * image.height;
  if (image.width <= 0 || image.height <= 0 || bytes != static_cast<int64_t>(image.pixels.size())) {
    throw std::invalid_argument("write_png: the number of pixels doesn't fit the image's size");
  }
  if (bytes > kMaxImageBytes) {
    throw Error(fmt::format("{}: can't write {}x{} pixels; expected at most {} in all",
                            path.string(), image.width, image.height, kMaxImageBytes / 3));
  }
  const auto append = [](void* png, void* data, int size) {
    const auto* first = static_cast<const uint8_t*>(data);
    auto& out = *static_cast<std::vector<uint8_t>*>(png);
    out.insert(out.end(), first, first + size);
  };
  std::vector<uint8_t> png;
  if (!stbi_write_png_to_func(append, &png, image.width, image.height, 3, image.pixels.data(),
                              3 * image.width)) {
    throw Error(fmt::format("{}: can't write {}x{} pixels: out of memory", path.string(),
                            image.width, image.height));
  }
  OutputFile file(path);
  file.write(std::as_bytes(std::span(png)));
  file.commit();
}

}  // namespace combiner

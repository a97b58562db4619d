#include "image/write_png.h"

#include "base/output_file.h"

namespace combiner {

void write_png(const std::filesystem::path& path, const Image& image,
               std::span<const PngText> texts) {
  const std::vector<std::byte> png = encode_png(image, texts);
  OutputFile file(path);
  file.write(png);
  file.commit();
}

}  // namespace combiner

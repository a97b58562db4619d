// Pictures of all formats.
#include <array>

#include "fuzz/fuzz.h"
#include "image/orientation.h"
#include "image/picture_format.h"
#include "image/read_image.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  // What no command takes for a picture would only occupy OpenCV.
  const std::span<const uint8_t> bytes(data, size);
  if (!is_picture(bytes.first(std::min(size, kSignatureBytes)))) return 0;
  return run_fuzz([&] {
    const int orientation = orientation_of(bytes);
    require(orientation >= 1 && orientation <= 8, "there are eight orientations");
    const Image image = read_image(MemoryFile(bytes).path());
    require(image.width > 0 && image.height > 0, "a picture must have pixels");
    require(image.pixels.size() ==
                size_t{3} * static_cast<size_t>(image.width) * static_cast<size_t>(image.height),
            "a picture must have the pixels of its size");
  });
}

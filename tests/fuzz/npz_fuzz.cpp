// NumPy's archives of images: npz files, or only their array, which no checksum protects here.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/npz_images.h"
#include "dataset/zip_files.h"
#include "fuzz/fuzz.h"

namespace combiner {
namespace {

constexpr int kSide = 2;

void read_all(std::span<const uint8_t> npz) {
  const MemoryFile file(npz);
  const auto images = open_npz(file.path(), {.width = kSide, .height = kSide, .resize = true});
  require(images->size() >= 0, "a number of images is not negative");
  std::vector<uint8_t> pixels(3 * kSide * kSide);
  constexpr int64_t kMost = 100;
  for (int64_t i = 0; i < std::min(images->size(), kMost); ++i) images->read(i, pixels);
  if (images->size() > 0) images->read(images->size() - 1, pixels);
}

}  // namespace
}  // namespace combiner

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::string npz = bytes.starts_with("PK") ? bytes : stored_zip({{"data.npy", bytes}});
  return run_fuzz([&] { read_all({reinterpret_cast<const uint8_t*>(npz.data()), npz.size()}); });
}

// Batches of CIFAR-10.
#include <vector>

#include "dataset/cifar10.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const MemoryFile file({data, size});
    for (const int side : {32, 5}) {
      const auto images =
          open_cifar10(file.path(), {.width = side, .height = side, .resize = side != 32});
      require(images->size() * 3073 == static_cast<int64_t>(size), "all records must be images");
      std::vector<uint8_t> pixels(static_cast<size_t>(3 * side * side));
      for (int64_t i = 0; i < images->size(); ++i) images->read(i, pixels);
    }
  });
}

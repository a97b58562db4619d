// Safetensors files, whatever they are of.
#include <algorithm>
#include <vector>

#include "fuzz/fuzz.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const MemoryFile bytes({data, size});
    const SafetensorsFile file = SafetensorsFile::open(bytes.path());
    size_t total = 0;
    for (const TensorView& tensor : file.tensors()) {
      require(file.find(tensor.name) == &tensor, "a tensor must be found by its name");
      require(
          static_cast<int64_t>(tensor.data.size()) == tensor.elements() * byte_size(tensor.dtype),
          "a tensor must have the size of its shape");
      total += tensor.data.size();
    }
    require(total < size, "the tensors must fit into the file");
    for (const TensorView& tensor : file.tensors()) {
      std::vector<float> values(static_cast<size_t>(tensor.elements()));
      to_floats(tensor, values);
    }
  });
}

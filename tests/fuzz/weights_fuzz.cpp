// A model's weights, from the file to an image's likelihood.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "combiner/model.h"
#include "fuzz/fuzz.h"
#include "weights/weights_file.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const MemoryFile file({data, size});
    Weights weights = load_weights(file.path());
    require(weights.values.size() == weights.parameters.size, "there must be all weights");
    require(std::ranges::all_of(weights.values, [](float value) { return std::isfinite(value); }),
            "weights must be finite");
    if (weights.config.dims() > 256) return;  // would take long
    const Model model(std::move(weights), Precision::f32, 1);
    const std::vector<uint8_t> pixels(static_cast<size_t>(model.config().dims()), 128);
    std::vector<float> nll(pixels.size());
    ImageScorer(model).nll(pixels.data(), nll.data());
  });
}

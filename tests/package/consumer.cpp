// Uses the installed library as another project would: includes all of its headers, loads a model,
// draws an image and evaluates its likelihood under the model.
#include <cmath>
#include <cstdio>
#include <string_view>

#include "all_headers.h"  // written by CMakeLists.txt

#ifdef EXPECTED_VERSION
static_assert(std::string_view(COMBINER_VERSION_STRING) == EXPECTED_VERSION);
#endif
static_assert(COMBINER_VERSION_MAJOR >= 0 && COMBINER_VERSION_MINOR >= 0 &&
              COMBINER_VERSION_PATCH >= 0);

int main(int argc, char** argv) {
  try {
    combiner::parse_config("{}", "consumer");
    return 1;
  } catch (const combiner::Error& error) {
    std::puts(error.what());
  }
  if (argc < 2) return 1;
  const auto model = combiner::Model::load(argv[1]);
  combiner::Image image;
  combiner::SampleEvents events;
  events.image_done = [&](int64_t, combiner::Image done) { image = std::move(done); };
  combiner::sample(model, {.seed = 1}, events);
  std::vector<float> nll(image.pixels.size());
  combiner::ImageScorer(model).nll(image.pixels.data(), nll.data());
  double bits = 0;
  for (const float nats : nll) bits += nats / std::log(2.0);
  std::printf("%d x %d, %.3f bits/dim\n", image.width, image.height,
              bits / static_cast<double>(nll.size()));
  return bits > 0 ? 0 : 1;
}

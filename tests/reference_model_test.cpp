#include "reference_model.h"

#include <cmath>

#include "catch.h"
#include "model/golden_cases.h"
#include "model/random_model.h"

namespace combiner {
namespace {

// The golden files come from a float64 computation whose results were rounded to float: a relative
// error of 2^-24. Compared with that, the error of a computation in double, 2^-53 times the number
// of operations, is negligible.
constexpr double kRounding = 0x1p-24 * 1.001;

TEST_CASE("The reference model agrees with the NumPy reference") {
  const std::vector<GoldenCase> cases = golden_cases();
  REQUIRE(cases.size() == 23);
  for (const GoldenCase& c : cases) {
    INFO(c.name);
    const std::vector<double> values = to_doubles(c.weights);
    REQUIRE(c.images() >= 1);
    for (size_t image = 0; image < c.images(); ++image) {
      const uint8_t* pixels = c.image(c.pixels, image).data();
      const auto nats = reference::nats(c.weights.config, c.weights.parameters, values, pixels);
      const auto logits = reference::logits(c.weights.config, c.weights.parameters, values, pixels);
      const std::span<const float> golden_nats = c.image(c.nats, image);
      const std::span<const float> golden_logits = c.image(c.logits, image);
      REQUIRE(nats.size() == golden_nats.size());
      REQUIRE(logits.size() * 256 == golden_logits.size());
      size_t far = 0;
      for (size_t t = 0; t < nats.size(); ++t) {
        if (!(std::abs(nats[t] - golden_nats[t]) <= kRounding * std::abs(nats[t]) + 1e-12)) ++far;
        for (size_t v = 0; v < 256; ++v) {
          const double error = std::abs(logits[t][v] - golden_logits[t * 256 + v]);
          if (!(error <= kRounding * std::abs(logits[t][v]) + 1e-12)) ++far;
        }
      }
      CHECK(far == 0);
    }
  }
}

}  // namespace
}  // namespace combiner

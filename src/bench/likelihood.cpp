#include "combiner/likelihood.h"

#include <limits>

#include "base/peak_memory.h"
#include "bench/random_images.h"
#include "bench/speed.h"

namespace combiner {

std::optional<Speed> measure_likelihood(const Weights& weights, Precision precision,
                                        const Effort& effort) {
  const RandomImages images(weights.config, std::numeric_limits<int64_t>::max());
  const Model model(weights.clone(), precision, effort.threads);
  const PeakMemory memory;
  std::optional<Rate> rounds = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    const int64_t count = times * effort.threads;
    const Likelihood likelihood = evaluate(
        model, images, {.limit = count, .threads = effort.threads, .cancel = effort.cancel});
    if (std::ssize(likelihood.images) < count) return std::nullopt;
    return static_cast<double>(count) / likelihood.images_per_second;
  });
  if (!rounds) return std::nullopt;
  rounds->median *= effort.threads;
  return Speed{*rounds, memory.bytes()};
}

}  // namespace combiner

// The results of `combiner bench`, and how they are printed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

// A precision is absent if it was not measured or the processor has no matrix products for it.
struct Ceilings {
  std::map<Precision, double> products;         // operations per second
  std::map<Precision, double> cache_bandwidth;  // bytes per second, reading as many as the weights
  std::optional<double> memory_bandwidth;       // bytes per second
};

struct SpeedRow {
  std::optional<int64_t> batch;  // images in one batch
  Precision precision = Precision::f32;
  Rate images;                             // per second
  std::optional<double> fraction_of_peak;  // of the matrix-product ceiling
  std::optional<int64_t> peak_bytes = {};  // of memory, excluding the model as loaded
  // Set for sampling only.
  std::optional<double> fraction_of_bandwidth = {};  // of cache_bandwidth, by reading weights
  std::optional<int64_t> weight_bytes = {}, state_bytes = {};  // parts of peak_bytes

  // Of the speed that the slower of products and reading would allow if either had its ceiling.
  std::optional<double> fraction_of_roofline() const {
    return std::max(fraction_of_peak, fraction_of_bandwidth);
  }
};

struct BenchReport {
  std::string processor;
  std::string instructions;  // in use
  int threads = 1;
  std::string source;  // path of the model or config file
  ModelConfig config;
  int64_t parameters = 0;
  // A section is absent if the user did not ask for it.
  std::optional<Ceilings> ceilings;
  std::optional<std::vector<SpeedRow>> sample, eval, train;
};

void print_json(const BenchReport& report);
void print_table(const BenchReport& report);

}  // namespace combiner

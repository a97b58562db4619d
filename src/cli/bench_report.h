// What `combiner bench` has found, and how it is printed.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

// All that models run in.
inline constexpr std::array kPrecisions = {Precision::f32, Precision::bf16, Precision::int8};

// A precision is missing where the processor has no products in it, or nothing was measured.
struct Ceilings {
  std::map<Precision, double> products;         // operations per second
  std::map<Precision, double> cache_bandwidth;  // bytes per second, of as many as the weights have
  std::optional<double> memory_bandwidth;       // bytes per second
};

struct SpeedRow {
  std::optional<int64_t> batch;  // images at once
  Precision precision = Precision::f32;
  Rate images;                             // per second
  std::optional<double> fraction_of_peak;  // of the ceiling of products
  std::optional<int64_t> peak_bytes = {};  // of memory, beyond the model as read
  // Of sampling only.
  std::optional<double> fraction_of_bandwidth = {};            // of the weights' cache_bandwidth
  std::optional<int64_t> weight_bytes = {}, state_bytes = {};  // within peak_bytes
};

struct BenchReport {
  std::string processor;
  int threads = 1;
  std::string source;  // of the model, a path
  ModelConfig config;
  int64_t parameters = 0;
  // Sections that were not asked for are missing.
  std::optional<Ceilings> ceilings;
  std::optional<std::vector<SpeedRow>> sample, eval, train;
};

void print_json(const BenchReport& report);
void print_table(const BenchReport& report);

}  // namespace combiner

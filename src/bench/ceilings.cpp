#include "bench/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/thread_team.h"
#include "cpu/features.h"
#include "kernels/sum.h"
#include "matmul/matmul.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

// The maximum number of rows of a product. An image with fewer positions has fewer.
constexpr int64_t kRows = 512;

using Shape = std::pair<int64_t, int64_t>;  // out, in

// The number of dense layers of each shape.
std::map<Shape, int64_t> dense_layers(const Weights& weights) {
  std::map<Shape, int64_t> layers;
  for (const DenseMatrix& matrix : weights.parameters.dense) ++layers[{matrix.out, matrix.in}];
  return layers;
}

OneDnnProduct::Type onednn_type(Precision precision) {
  switch (precision) {
    case Precision::f32:
      return OneDnnProduct::Type::f32;
    case Precision::bf16:
      return OneDnnProduct::Type::bf16;
    case Precision::int8:
      return OneDnnProduct::Type::int8;
  }
  throw std::logic_error("no such precision");
}

}  // namespace

bool has_own_products(Precision precision) {
  return precision == Precision::f32 ||
         (precision == Precision::bf16 && cpu_features().avx512_bf16) ||
         (precision == Precision::int8 && cpu_features().avx512_vnni);
}

std::optional<Rate> measure_products(const Weights& weights, Precision precision,
                                     const Effort& effort) {
  // One thread's products of one shape, made `count` times per round.
  struct Layers {
    int64_t count;
    OneDnnProduct product;
  };
  const std::map<Shape, int64_t> shapes = dense_layers(weights);
  const int64_t rows = std::min<int64_t>(kRows, weights.config.positions());
  ThreadTeam team(effort.threads);
  std::vector<std::vector<Layers>> threads(static_cast<size_t>(team.size()));
  // Each thread creates its own: memory is placed near the thread that first touches it.
  team.run([&](int rank) {
    for (const auto& [shape, count] : shapes)
      threads[static_cast<size_t>(rank)].push_back(
          {count, OneDnnProduct(onednn_type(precision), rows, shape.first, shape.second)});
  });
  int64_t operations = 0;
  for (const auto& [shape, count] : shapes)
    operations += team.size() * 2 * count * rows * shape.first * shape.second;

  std::optional<Rate> rate = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    const double seconds = seconds_of([&] {
      team.run([&](int rank) {
        for (int64_t i = 0; i < times && !effort.cancel.asked(); ++i)
          for (Layers& layers : threads[static_cast<size_t>(rank)])
            for (int64_t n = 0; n < layers.count; ++n) layers.product.make();
      });
    });
    if (effort.cancel.asked()) return std::nullopt;
    return seconds;
  });
  if (rate) rate->median *= static_cast<double>(operations);
  return rate;
}

std::optional<Rate> measure_reading(int64_t bytes, const Effort& effort) {
  ThreadTeam team(effort.threads);
  const auto values = static_cast<size_t>(bytes) / sizeof(float);
  const size_t share = std::max<size_t>(1, values / static_cast<size_t>(team.size()));
  std::vector<Buffer<float>> shares(static_cast<size_t>(team.size()));
  team.run([&](int rank) {
    Buffer<float>& own = shares[static_cast<size_t>(rank)];
    own = Buffer<float>(share);
    own.fill(1);  // untouched memory would all be one page of zeros
  });
  const auto read = static_cast<double>(share * shares.size() * sizeof(float));

  std::optional<Rate> rate = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    const double seconds = seconds_of([&] {
      team.run([&](int rank) {
        for (int64_t i = 0; i < times && !effort.cancel.asked(); ++i)
          sum(shares[static_cast<size_t>(rank)].span());
      });
    });
    if (effort.cancel.asked()) return std::nullopt;
    return seconds;
  });
  if (rate) rate->median *= read;
  return rate;
}

int64_t bytes_beyond_caches() {
  int64_t cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
  cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
  return std::max(int64_t{1} << 28, 4 * cache);
}

}  // namespace combiner

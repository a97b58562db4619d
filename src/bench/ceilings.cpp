#include "bench/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "kernels/rows.h"
#include "kernels/sum.h"
#include "matmul/matmul.h"
#include "tensor/buffer.h"
#include "tensor/random.h"
#include "tensor/thread_team.h"

namespace combiner {
namespace {

// The rows of a product: the positions that the likelihood computes at once.
constexpr int64_t kRows = 512;

// Dense layers of one shape.
struct Layers {
  int64_t count = 0;
  Matrix<const float> weights;  // of one of them
};
using Shape = std::pair<int64_t, int64_t>;  // out, in

std::map<Shape, Layers> dense_layers(const Weights& weights) {
  std::map<Shape, Layers> layers;
  visit_dense(weights, [&](size_t offset, int64_t out, int64_t in) {
    Layers& alike = layers[{out, in}];
    ++alike.count;
    alike.weights = {weights.values.data() + offset, out, in};
  });
  return layers;
}

// A thread's products of one shape.
template <class T>
class Products {
 public:
  Products(const Layers& layers, int64_t rows)
      : count_(layers.count),
        weights_(layers.weights, element_type<T>),
        x_(static_cast<size_t>(rows * weights_.in())),
        y_(static_cast<size_t>(rows * weights_.out())),
        rows_(rows) {
    Buffer<float> values(x_.size());
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(counter_uniform(0, 0, i) - 0.5);
    convert<float, T>(Matrix<const float>(values.data(), rows, weights_.in()),
                      Matrix<T>(x_.data(), rows, weights_.in()));
  }

  // One of each layer.
  void multiply(Multiplier& multiplier) {
    const Matrix<const T> x(x_.data(), rows_, weights_.in());
    const Matrix<T> y(y_.data(), rows_, weights_.out());
    for (int64_t i = 0; i < count_; ++i) multiplier.multiply(plain(x), weights_, y);
  }

  int64_t operations() const { return 2 * count_ * rows_ * weights_.out() * weights_.in(); }

 private:
  int64_t count_;
  PackedWeights weights_;
  Buffer<T> x_, y_;
  int64_t rows_;
};

template <class T>
std::optional<Rate> measure_products_as(const Weights& weights, const Effort& effort) {
  const std::map<Shape, Layers> layers = dense_layers(weights);
  const int64_t rows = std::min<int64_t>(kRows, weights.config.positions());
  ThreadTeam team(effort.threads);
  struct Thread {
    Multiplier multiplier;
    std::vector<Products<T>> products;
  };
  std::vector<Thread> threads(static_cast<size_t>(team.size()));
  // Memory lies near the thread that touches it first.
  team.run([&](int rank) {
    for (const auto& [shape, alike] : layers)
      threads[static_cast<size_t>(rank)].products.emplace_back(alike, rows);
  });
  int64_t operations = 0;
  for (const Thread& thread : threads)
    for (const Products<T>& products : thread.products) operations += products.operations();

  std::optional<Rate> rate = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    const double seconds = seconds_of([&] {
      team.run([&](int rank) {
        Thread& thread = threads[static_cast<size_t>(rank)];
        for (int64_t i = 0; i < times && !effort.cancelled(); ++i)
          for (Products<T>& products : thread.products) products.multiply(thread.multiplier);
      });
    });
    if (effort.cancelled()) return std::nullopt;
    return seconds;
  });
  if (rate) rate->median *= static_cast<double>(operations);
  return rate;
}

}  // namespace

bool has_own_products(Precision precision) {
  return precision == Precision::f32 || (precision == Precision::bf16 && has_native_bf16());
}

std::optional<Rate> measure_products(const Weights& weights, Precision precision,
                                     const Effort& effort) {
  return precision == Precision::bf16 ? measure_products_as<bfloat16>(weights, effort)
                                      : measure_products_as<float>(weights, effort);
}

std::optional<Rate> measure_reading(int64_t bytes, const Effort& effort) {
  ThreadTeam team(effort.threads);
  const auto values = static_cast<size_t>(bytes) / sizeof(float);
  const size_t share = std::max<size_t>(1, values / static_cast<size_t>(team.size()));
  std::vector<Buffer<float>> shares(static_cast<size_t>(team.size()));
  team.run([&](int rank) {
    Buffer<float>& own = shares[static_cast<size_t>(rank)];
    own = Buffer<float>(share);
    own.fill(1);  // memory that was never written is all one page of zeros
  });
  const auto read = static_cast<double>(share * shares.size() * sizeof(float));

  std::optional<Rate> rate = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    const double seconds = seconds_of([&] {
      team.run([&](int rank) {
        for (int64_t i = 0; i < times && !effort.cancelled(); ++i)
          sum(shares[static_cast<size_t>(rank)].span());
      });
    });
    if (effort.cancelled()) return std::nullopt;
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

// Matrix products for small batches (decoding), on one thread: multiply_panels, oneDNN's product of
// the same shape, and a plain read of the same weights. As in a model, the weights do not fit in
// the nearer caches. items_per_second counts operations (a multiply-add is two), bytes_per_second
// counts weights.

#include "kernels/panels.h"

#include <benchmark/benchmark.h>
#include <omp.h>

#include <vector>

#include "kernels/sum.h"
#include "matmul/matmul.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

// Enough copies of a layer that its weights come from the last-level cache.
constexpr int64_t kWeightBytes = int64_t{8} << 20;

struct Layer {
  int64_t rows, out, in, copies, bytes;
  Buffer<float> weights;
};

template <class Weight>
Layer make_layer(const benchmark::State& state) {
  const int64_t out = state.range(1), in = state.range(2);
  const int64_t bytes = out * in * static_cast<int64_t>(sizeof(Weight));
  Layer layer{state.range(0),       out,   in,
              kWeightBytes / bytes, bytes, Buffer<float>(static_cast<size_t>(out * in))};
  layer.weights.fill(0.5f);
  return layer;
}

void count_work(benchmark::State& state, const Layer& layer) {
  state.SetItemsProcessed(state.iterations() * 2 * layer.rows * layer.out * layer.in);
  state.SetBytesProcessed(state.iterations() * layer.bytes);
}

template <class X, class Weight>
void panels(benchmark::State& state) {
  const Layer layer = make_layer<Weight>(state);
  const Matrix<const float> weights(layer.weights.data(), layer.out, layer.in);
  std::vector<PanelWeights> packed;
  for (int64_t i = 0; i < layer.copies; ++i) packed.push_back(PanelWeights::pack<Weight>(weights));
  const Buffer<X> x(static_cast<size_t>(layer.rows * layer.in));
  Buffer<X> y(static_cast<size_t>(layer.rows * layer.out));
  Scratch scratch;
  size_t next = 0;
  for (auto _ : state) {
    multiply_panels<X, X>({x.data(), layer.rows, layer.in}, packed[next],
                          {y.data(), layer.rows, layer.out}, {}, scratch);
    next = next + 1 < packed.size() ? next + 1 : 0;
  }
  count_work(state, layer);
}

void onednn(benchmark::State& state) {
  omp_set_num_threads(1);
  const Layer layer = make_layer<float>(state);
  const Matrix<const float> weights(layer.weights.data(), layer.out, layer.in);
  std::vector<PackedWeights> packed;
  for (int64_t i = 0; i < layer.copies; ++i) packed.emplace_back(weights, ElementType::f32);
  const Buffer<float> x(static_cast<size_t>(layer.rows * layer.in));
  Buffer<float> y(static_cast<size_t>(layer.rows * layer.out));
  Multiplier multiplier;
  size_t next = 0;
  for (auto _ : state) {
    multiplier.multiply(plain(Matrix<const float>(x.data(), layer.rows, layer.in)), packed[next],
                        Matrix<float>(y.data(), layer.rows, layer.out));
    next = next + 1 < packed.size() ? next + 1 : 0;
  }
  count_work(state, layer);
}

template <class Weight>
void read(benchmark::State& state) {
  const Layer layer = make_layer<Weight>(state);
  const auto floats = static_cast<size_t>(layer.bytes) / sizeof(float);
  Buffer<float> weights(static_cast<size_t>(layer.copies) * floats);
  weights.fill(0.5f);
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sum(weights.span().subspan(next * floats, floats)));
    next = next + 1 < static_cast<size_t>(layer.copies) ? next + 1 : 0;
  }
  state.SetBytesProcessed(state.iterations() * layer.bytes);
}

template <class Weight>
void pack(benchmark::State& state) {
  const int64_t out = state.range(0), in = state.range(1);
  const Buffer<float> weights(static_cast<size_t>(out * in));
  for (auto _ : state)
    benchmark::DoNotOptimize(
        PanelWeights::pack<Weight>(Matrix<const float>(weights.data(), out, in)));
  state.SetItemsProcessed(state.iterations() * out * in);
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t rows : {1, 4, 16, 64, 128}) {
    for (const int64_t dim : {128, 256})
      benchmark->Args({rows, 3 * dim, dim})
          ->Args({rows, dim, dim})
          ->Args({rows, 4 * dim, dim})
          ->Args({rows, dim, 4 * dim});
    benchmark->Args({rows, 256, 112});
  }
  benchmark->ArgNames({"rows", "out", "in"});
}

void one_shape(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 1024, 256})->ArgNames({"rows", "out", "in"});
}

void pack_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1024, 256})->Args({256, 1024})->ArgNames({"out", "in"});
}

BENCHMARK(onednn)->Name("onednn/f32")->Apply(shapes);
BENCHMARK(panels<float, float>)->Name("panels/f32")->Apply(shapes);
BENCHMARK(panels<bfloat16, bfloat16>)->Name("panels/bf16")->Apply(shapes);
BENCHMARK(panels<bfloat16, int8_t>)->Name("panels/int8")->Apply(shapes);
BENCHMARK(read<float>)->Name("read")->Apply(one_shape);
BENCHMARK(pack<float>)->Name("pack/f32")->Apply(pack_shapes);
BENCHMARK(pack<bfloat16>)->Name("pack/bf16")->Apply(pack_shapes);
BENCHMARK(pack<int8_t>)->Name("pack/int8")->Apply(pack_shapes);

}  // namespace
}  // namespace combiner

BENCHMARK_MAIN();

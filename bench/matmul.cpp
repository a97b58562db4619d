// The ceiling: matrix products at a model's shapes with warm weights, each thread its own, as
// likelihood and training make them. items_per_second is operations (a multiply-add is two) over
// all threads.

#include "matmul/matmul.h"

#include <benchmark/benchmark.h>
#include <omp.h>

#include "tensor/buffer.h"
#include "tensor/thread_team.h"

namespace combiner {
namespace {

template <class T>
void multiply(benchmark::State& state) {
  omp_set_num_threads(1);
  const int64_t rows = state.range(0), out = state.range(1), in = state.range(2);
  const Buffer<float> weights(static_cast<size_t>(out * in));
  const Buffer<T> x(static_cast<size_t>(rows * in));
  Buffer<float> y(static_cast<size_t>(rows * out));
  const PackedWeights packed(Matrix<const float>(weights.data(), out, in), element_type<T>);
  Multiplier multiplier;
  for (auto _ : state)
    multiplier.multiply(plain(Matrix<const T>(x.data(), rows, in)), packed,
                        Matrix<float>(y.data(), rows, out));
  state.SetItemsProcessed(state.iterations() * 2 * rows * out * in);
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t dim : {128, 256})
    for (const int64_t rows : {128, 512})
      benchmark->Args({rows, dim, dim})->Args({rows, 4 * dim, dim})->Args({rows, dim, 4 * dim});
  benchmark->ArgNames({"rows", "out", "in"})->Threads(available_threads())->UseRealTime();
}

BENCHMARK(multiply<float>)->Name("f32")->Apply(shapes);

}  // namespace
}  // namespace combiner

int main(int argc, char** argv) {
  using namespace combiner;
  // Elsewhere bfloat16 products are made in float, and no ceiling of anything.
  if (has_native_bf16()) benchmark::RegisterBenchmark("bf16", multiply<bfloat16>)->Apply(shapes);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

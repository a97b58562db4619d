// The cost of attention on one thread for grids of growing size: each variant forward, forward and
// backward, and decoding position by position. `peak_mb` is the memory that a call needs beyond its
// inputs and outputs.

#include "combiner/attention.h"

#include <benchmark/benchmark.h>
#include <omp.h>

#include <optional>
#include <string>
#include <vector>

#include "base/counter_random.h"
#include "base/peak_memory.h"
#include "combiner/config.h"
#include "model/attention/attention.h"

namespace combiner {
namespace {

constexpr int64_t kDim = 256;
constexpr int64_t kHeads = 8;

// As close to square as possible.
struct GridSize {
  int64_t rows, columns;
};
constexpr GridSize kGrids[] = {{32, 32}, {48, 64}, {64, 64}, {96, 128}, {192, 256}};

std::vector<float> random_matrix(int64_t rows, int64_t columns, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(counter_uniform(1, stream, i) - 0.5);
  return values;
}

void run(benchmark::State& state, Attention attention, GridSize grid, bool backward) {
  const AttentionShape shape{grid.rows, grid.columns, kDim, kHeads};
  const int64_t n = shape.positions();
  std::vector<float> query = random_matrix(n, kDim, 1), key = random_matrix(n, kDim, 2),
                     value = random_matrix(n, kDim, 3), input = random_matrix(n, kDim, 4),
                     weight = random_matrix(kDim, kDim, 5), out(query.size());
  const std::vector<float> ones(kDim, 1.0f), zeros(kDim, 0.0f);
  const auto positions = [&](std::vector<float>& m) { return Matrix<float>(m.data(), n, kDim); };
  const Matrix<float> square(weight.data(), kDim, kDim);
  SummaryTensors summary;
  if (attention == Attention::axial_rowmajor) summary = {square, square, ones.data(), zeros.data()};

  std::vector<float> d_query, d_key, d_value, d_input, d_weight(weight.size()), d_norm(kDim);
  if (backward)
    for (std::vector<float>* m : {&d_query, &d_key, &d_value, &d_input}) m->resize(query.size());
  const Matrix<float> d_square(d_weight.data(), kDim, kDim);

  const PeakMemory memory;
  AttentionLayer layer(attention, shape, Direction::causal, summary);
  const AttentionTensors tensors{positions(query), positions(key), positions(value),
                                 positions(input)};
  for (auto _ : state) {
    layer.forward(tensors, positions(out));
    if (backward)
      layer.backward(tensors, positions(out),
                     {positions(d_query),
                      positions(d_key),
                      positions(d_value),
                      positions(d_input),
                      {d_square, d_square, d_norm.data(), d_norm.data()}});
  }
  if (const std::optional<int64_t> peak = memory.bytes())
    state.counters["peak_mb"] = static_cast<double>(*peak) / (1 << 20);
  state.counters["positions"] = static_cast<double>(n);
  state.counters["pairs"] = static_cast<double>(attention_pairs(attention, shape));
}

// Attention of one image, a position at a time, as in sampling.
void decode(benchmark::State& state, Attention attention, GridSize grid) {
  const AttentionShape shape{grid.rows, grid.columns, kDim, kHeads};
  const int64_t n = shape.positions();
  const std::vector<float> x = random_matrix(n, 4 * kDim, 1), weight = random_matrix(kDim, kDim, 2);
  const std::vector<float> ones(kDim, 1.0f), zeros(kDim, 0.0f);
  const Matrix<const float> rows(x.data(), n, 4 * kDim), square(weight.data(), kDim, kDim);
  const DenseWeights dense{PackedWeights(PanelWeights::pack<float>(square)), {}, nullptr};
  const SummaryWeights summary{dense, dense, {ones.data(), zeros.data()}};
  Buffer<float> layer(static_cast<size_t>(attention_state_size<float>(attention, shape)));
  auto activations = parts_activations<float>(attention, shape, 1);
  OwnedMatrix<float> attended(1, kDim);
  KvSpans<float> spans;
  Worker worker;
  for (auto _ : state)
    for (int64_t i = 0; i < n; ++i) {
      const Matrix<const float> row = rows.row_block(i, 1);
      const Matrix<const float> query = row.column_block(kDim, kDim);
      append_kv<float>(attention, shape, i, {0, kHeads},
                       {row.column_block(0, kDim), query, row.column_block(2 * kDim, kDim),
                        row.column_block(3 * kDim, kDim)},
                       layer.data(), spans, worker);
      const DecodedPosition<float> position{
          query.data, kHeads, spans.span(), {}, attended.view().data};
      attend_spans<float>({&position, 1}, shape.head_dim(), shape.scale(), worker.scratch);
      finish_position<float>(attention, shape, i, &summary, layer.data(), activations, worker,
                             NextRead::soon);
    }
  // Displayed as a time.
  state.counters["per_position"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate |
                                                     benchmark::Counter::kInvert);
  state.counters["positions"] = static_cast<double>(n);
  state.counters["pairs"] = static_cast<double>(attention_pairs(attention, shape));
}

template <class Run>
void add(const char* what, Attention attention, GridSize grid, Run run) {
  const std::string label = std::string(what) + "/" + std::string(name(attention)) + "/" +
                            std::to_string(grid.rows * grid.columns);
  benchmark::RegisterBenchmark(label.c_str(), run)->Unit(benchmark::kMillisecond)->UseRealTime();
}

}  // namespace
}  // namespace combiner

int main(int argc, char** argv) {
  using namespace combiner;
  omp_set_num_threads(1);
  return_freed_memory();
  for (const Attention attention : kAttentions)
    for (const GridSize grid : kGrids) {
      add("forward", attention, grid, [=](benchmark::State& s) { run(s, attention, grid, false); });
      add("forward+backward", attention, grid,
          [=](benchmark::State& s) { run(s, attention, grid, true); });
      // On the largest grid, decoding with full attention would take a quarter of an hour.
      if (grid.rows * grid.columns <= 12288)
        add("decode", attention, grid, [=](benchmark::State& s) { decode(s, attention, grid); });
    }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

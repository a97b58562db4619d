// combiner bench: measures a model's speed on this machine and the ceilings that the machine sets.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/peak_memory.h"
#include "base/plural.h"
#include "base/round_up.h"
#include "bench/ceilings.h"
#include "bench/speed.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/shipped_models.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "model/model.h"
#include "sampling/memory.h"
#include "training/initialise.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

constexpr std::array<int64_t, 6> kSamplingBatches = {1, 2, 4, 16, 64, 256};
constexpr int64_t kMostQuickBatch = 16;
constexpr double kQuickSeconds = 0.3;
constexpr int64_t kTrainingBatch = 4;  // rounded up to a multiple of the number of threads
// Operations of a training step relative to those of a likelihood: the backward pass has two matrix
// products for each one in the forward pass.
constexpr double kTrainingProducts = 3;

struct BenchOptions {
  std::string model, config;
  std::vector<std::string> only = {"ceilings", "sample", "eval", "train"};
  Effort effort;
  bool quick = false;
  bool json = false;

  bool asks_for(const char* section) const {
    return std::ranges::find(only, section) != only.end();
  }
};

// The model to measure: a weights file, or a config with random weights.
struct Subject {
  std::string source;
  Weights weights;
};

Subject load_subject(const BenchOptions& options) {
  if (options.config.empty()) {
    const std::string path = find_model(options.model).string();
    return {path, load_weights(path)};
  }
  return {options.config, initial_weights(read_config(options.config), 1)};
}

// For example "AMD EPYC"; "unknown" if /proc/cpuinfo does not say.
std::string processor_name() {
  std::ifstream processors("/proc/cpuinfo");
  for (std::string line; std::getline(processors, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// Runs the measurements one after another and writes their results to a report.
class Bench {
 public:
  // Draws in batches of at most `most_at_once`.
  Bench(const Weights& weights, const Effort& effort, int64_t most_at_once, BenchReport& report)
      : weights_(weights), effort_(effort), most_at_once_(most_at_once), report_(report) {
    if (report.ceilings) add_ceilings(*report.ceilings);
    if (report.sample) add_sampling(*report.sample);
    if (report.eval) add_likelihood(*report.eval);
    if (report.train) add_training(*report.train);
  }

  int64_t size() const { return std::ssize(list_); }
  // The time that is asked for. What takes longer once is done once all the same.
  double seconds() const {
    double sum = 0;
    for (const Measurement& measurement : list_) sum += measurement.seconds;
    return sum;
  }

  // Throws Error if asked to end. The report then holds the measurements finished so far.
  void run() {
    Progress progress("measurements");
    const int64_t all = size();
    for (int64_t done = 0; done < all; ++done) {
      const Measurement& next = list_[static_cast<size_t>(done)];
      progress.update(done, static_cast<double>(done) / static_cast<double>(all), next.name);
      if (!next.make())
        throw Interrupted(fmt::format("interrupted: the figures are those of {} of {}", done,
                                      plural(all, "measurement")));
    }
  }

 private:
  struct Measurement {
    std::string name;
    double seconds = 0;
    std::function<bool()> make;  // returns false if asked to end
  };

  void add_ceilings(Ceilings& ceilings) {
    for (const Precision precision : kPrecisions) {
      if (has_own_products(precision))
        add(fmt::format("products, {}", name(precision)), effort_.seconds, [=, this, &ceilings] {
          const std::optional<Rate> rate = measure_products(weights_, precision, effort_);
          if (rate) ceilings.products[precision] = rate->median;
          return rate.has_value();
        });
      add(fmt::format("reading, {}", name(precision)), effort_.seconds, [=, this, &ceilings] {
        const std::optional<Rate> rate =
            measure_reading(sampling_memory(weights_, precision).weights, effort_);
        if (rate) ceilings.cache_bandwidth[precision] = rate->median;
        return rate.has_value();
      });
    }
    add("reading, memory", effort_.seconds, [this, &ceilings] {
      const std::optional<Rate> rate = measure_reading(bytes_beyond_caches(), effort_);
      if (rate) ceilings.memory_bandwidth = rate->median;
      return rate.has_value();
    });
  }

  void add_sampling(std::vector<SpeedRow>& rows) {
    for (const Precision precision : kPrecisions)
      for (const int64_t batch : kSamplingBatches)
        if (batch <= most_at_once_)
          add_row(fmt::format("sample, {}, batch {}", name(precision), batch), precision,
                  [=, this, &rows] {
                    const auto measured = beside_ceilings(precision, [&] {
                      return measure_sampling(weights_, precision, batch, effort_);
                    });
                    if (!measured) return false;
                    const auto& [speed, now] = *measured;
                    SpeedRow row = make_row(batch, precision, speed, now, 1);
                    if (now)
                      row.fraction_of_bandwidth = speed.weight_bytes_per_second / now->reading;
                    row.weight_bytes = speed.weight_bytes;
                    row.state_bytes = speed.state_bytes;
                    rows.push_back(row);
                    return true;
                  });
  }

  // f32 and every precision that has its own code path on this processor. A precision without one
  // is computed as f32 is, so its row would only repeat that of f32.
  void add_likelihood(std::vector<SpeedRow>& rows) {
    for (const Precision precision : kPrecisions)
      if (precision == Precision::int8 || has_own_products(precision))
        add_row(fmt::format("eval, {}", name(precision)), precision, [=, this, &rows] {
          const auto measured = beside_ceilings(
              precision, [&] { return measure_likelihood(weights_, precision, effort_); });
          if (measured)
            rows.push_back(
                make_row(std::nullopt, precision, measured->speed, measured->ceilings, 1));
          return measured.has_value();
        });
  }

  void add_training(std::vector<SpeedRow>& rows) {
    const int64_t batch = round_up(kTrainingBatch, int64_t{effort_.threads});
    for (const Precision precision : kPrecisions)
      if (precision != Precision::int8 && has_own_products(precision))
        add_row(fmt::format("train, {}", name(precision)), precision, [=, this, &rows] {
          const auto measured = beside_ceilings(precision, [&] {
            return measure_training(weights_.config, precision, batch, effort_);
          });
          if (measured)
            rows.push_back(
                make_row(batch, precision, measured->speed, measured->ceilings, kTrainingProducts));
          return measured.has_value();
        });
  }

  // The ceilings that a row's figures are fractions of.
  struct RowCeilings {
    double products, reading;
  };
  template <class S>
  struct Measured {
    S speed;
    std::optional<RowCeilings> ceilings;  // nullopt if the user did not ask for ceilings
  };

  // Other tenants of the machine raise and lower its ceilings from minute to minute. So each row
  // has its own ceilings: the means of measurements taken just before and just after it. Returns
  // nullopt if asked to end.
  template <class Measure>
  auto beside_ceilings(Precision precision, const Measure& measure) const
      -> std::optional<Measured<typename decltype(measure())::value_type>> {
    const auto before = ceilings_now(precision);
    const auto speed = measure();
    const auto after = ceilings_now(precision);
    if (effort_.cancel.asked() || !speed) return std::nullopt;
    if (!before || !after) return {{*speed, std::nullopt}};
    return {{*speed, RowCeilings{(before->products + after->products) / 2,
                                 (before->reading + after->reading) / 2}}};
  }

  std::optional<RowCeilings> ceilings_now(Precision precision) const {
    if (!report_.ceilings) return std::nullopt;
    Effort brief = effort_;
    brief.seconds = seconds_of_row_ceiling();
    const auto products = best_products(precision, brief);
    const auto reading = measure_reading(sampling_memory(weights_, precision).weights, brief);
    if (!products || !reading) return std::nullopt;
    return RowCeilings{*products, reading->median};
  }

  double seconds_of_row_ceiling() const { return std::min(effort_.seconds, 1.0); }

  // Whether the ceiling of products in this precision may be that of products in `of`: the same, or
  // f32 if the processor has none of its own or, as it can also multiply bfloat16 as floats, if
  // that is higher than the one in bf16.
  static bool may_be_ceiling(Precision of, Precision precision) {
    const bool own = has_own_products(precision);
    const bool as_floats = of == Precision::f32 && (!own || precision == Precision::bf16);
    return as_floats || (own && of == precision);
  }

  std::optional<double> best_products(Precision precision, const Effort& effort) const {
    double best = 0;
    for (const Precision of : kPrecisions) {
      if (!may_be_ceiling(of, precision)) continue;
      const std::optional<Rate> rate = measure_products(weights_, of, effort);
      if (!rate) return std::nullopt;
      best = std::max(best, rate->median);
    }
    return best;
  }

  void add(std::string name, double seconds, std::function<bool()> make) {
    list_.push_back({std::move(name), seconds, std::move(make)});
  }

  // A measurement between two of its ceilings.
  void add_row(std::string name, Precision precision, std::function<bool()> make) {
    const auto products = std::ranges::count_if(
        kPrecisions, [&](Precision of) { return may_be_ceiling(of, precision); });
    const auto ceilings = static_cast<double>(report_.ceilings ? 2 * (products + 1) : 0);
    add(std::move(name), effort_.seconds + ceilings * seconds_of_row_ceiling(), std::move(make));
  }

  // `products`: the matrix-product operations of an image, as a multiple of those of its
  // likelihood.
  SpeedRow make_row(std::optional<int64_t> batch, Precision precision, const Speed& speed,
                    const std::optional<RowCeilings>& ceilings, double products) const {
    SpeedRow row{batch, precision, speed.images, std::nullopt, speed.peak_bytes};
    if (ceilings)
      row.fraction_of_peak = speed.images.median * products *
                             static_cast<double>(product_operations(weights_.config)) /
                             ceilings->products;
    return row;
  }

  const Weights& weights_;
  const Effort& effort_;
  int64_t most_at_once_;
  BenchReport& report_;
  std::vector<Measurement> list_;
};

void run(BenchOptions options) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  return_freed_memory();
  options.effort.cancel = cancel_if(interrupted);
  const auto [source, weights] = load_subject(options);
  BenchReport report;
  report.processor = processor_name();
  report.instructions = instructions_in_use();
  if (processor_instructions() != report.instructions)
    report.instructions += fmt::format("; the processor has {}", processor_instructions());
  report.threads = options.effort.threads;
  report.source = source;
  report.config = weights.config;
  report.parameters = static_cast<int64_t>(weights.parameters.size);
  if (options.asks_for("ceilings")) report.ceilings.emplace();
  if (options.asks_for("sample")) report.sample.emplace();
  if (options.asks_for("eval")) report.eval.emplace();
  if (options.asks_for("train")) report.train.emplace();

  const auto print = options.json ? print_json : print_table;
  Bench bench(weights, options.effort, options.quick ? kMostQuickBatch : kSamplingBatches.back(),
              report);
  say("{}, about {}, or more if the model is too slow for that\n",
      plural(bench.size(), "measurement"), duration_text(bench.seconds()));
  try {
    bench.run();
  } catch (...) {
    print(report);  // print the measurements that finished
    throw;
  }
  print(report);
}

}  // namespace

Action bench_command(CLI::App& command) {
  const auto options = std::make_shared<BenchOptions>();
  command.footer(
      "Batch N is N images in all, whatever the threads. Speed is that of whole images, so a "
      "large\n"
      "batch may take longer than --seconds: each is drawn once at least. `of products` is a part\n"
      "of what oneDNN reaches in that precision at the model's shapes with warm weights, or in "
      "f32\n"
      "where the processor has no instructions for it or multiplies bf16 faster as floats;\n"
      "`of reading` are the weights that sampling reads, a part of what all threads together read\n"
      "when they read a block of that size repeatedly: ceilings measured just before and after "
      "the\n"
      "row, not those at the top; `of roofline` is the larger of the two. Memory is beyond the "
      "model as read.");
  add_model_option(command, options->model);
  command.add_option("--config", options->config, "A JSON config, for a model of random weights")
      ->type_name("FILE")
      ->excludes("--model");
  command
      .add_option("--only", options->only,
                  "What to measure; without ceilings, no percentages are shown")
      ->type_name("NAMES")
      ->delimiter(',')
      ->check(one_of({"ceilings", "sample", "eval", "train"}))
      ->capture_default_str();
  CLI::Option* const repeats = add_number(command, "--repeats", options->effort.repeats, {1},
                                          "Repeats of a measurement, at most");
  CLI::Option* const seconds = add_number(command, "--seconds", options->effort.seconds,
                                          {0.001, 86400}, "Time for all repeats of a measurement")
                                   ->type_name("S");
  command
      .add_flag_callback(
          "--quick",
          [options] {
            options->quick = true;
            options->effort.repeats = 1;
            options->effort.seconds = kQuickSeconds;
          },
          fmt::format("Rough figures in a short time: as --repeats 1 --seconds {}, and batches of "
                      "{} at most",
                      kQuickSeconds, kMostQuickBatch))
      ->excludes(repeats)
      ->excludes(seconds);
  add_threads_option(command, options->effort.threads);
  command.add_flag("--json", options->json, "Print JSON");
  return [options] { run(*options); };
}

}  // namespace combiner

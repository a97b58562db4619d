#include "cli/bench_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/plural.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "model/model.h"

namespace combiner {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::optional<std::vector<SpeedRow>>;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
std::optional<double> at(const std::map<Precision, double>& figures, Precision precision) {
  const auto found = figures.find(precision);
  if (found == figures.end()) return std::nullopt;
  return found->second;
}

Json to_json(const Ceilings& ceilings) {
  Json json;
  for (const Precision precision : kPrecisions)
    json[std::string(name(precision))] = or_null(at(ceilings.products, precision));
  for (const auto& [precision, rate] : ceilings.cache_bandwidth)
    json["cache_bandwidth"][std::string(name(precision))] = rate;
  json["memory_bandwidth"] = or_null(ceilings.memory_bandwidth);
  return json;
}

Json to_json(const SpeedRow& row, int positions) {
  Json json;
  if (row.batch) json["batch"] = *row.batch;
  json["precision"] = name(row.precision);
  json["images_per_second"] = row.images.median;
  json["positions_per_second"] = row.images.median * positions;
  json["fraction_of_peak"] = or_null(row.fraction_of_peak);
  if (row.weight_bytes) json["fraction_of_bandwidth"] = or_null(row.fraction_of_bandwidth);
  json["fraction_of_roofline"] = or_null(row.fraction_of_roofline());
  json["peak_bytes"] = or_null(row.peak_bytes);
  if (row.weight_bytes) json["weight_bytes"] = *row.weight_bytes;
  if (row.state_bytes) json["state_bytes"] = *row.state_bytes;
  json["spread"] = row.images.spread;
  json["repeats"] = row.images.repeats;
  return json;
}

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f} %", 100 * *fraction) : "-";
}
std::string megabytes(const std::optional<int64_t>& bytes) {
  return bytes ? fmt::format("{:.1f}", static_cast<double>(*bytes) / 1e6) : "-";
}
// `rate` in billions of `unit` per second; "-" if absent.
std::string giga(const std::optional<double>& rate, const char* unit) {
  return rate ? fmt::format("{:.1f} G{}/s", *rate / 1e9, unit) : "-";
}

void print_ceilings(const Ceilings& ceilings) {
  const auto line = [](std::string_view what, const std::string& figure) {
    put("{:<32}{:>14}\n", what, figure);
  };
  put("\n");
  for (const Precision precision : kPrecisions)
    line(fmt::format("matrix products, {}", name(precision)),
         giga(at(ceilings.products, precision), precision == Precision::int8 ? "OP" : "FLOP"));
  for (const auto& [precision, rate] : ceilings.cache_bandwidth)
    line(fmt::format("reading weights, {}", name(precision)), giga(rate, "B"));
  line("reading memory", giga(ceilings.memory_bandwidth, "B"));
}

void print_rows(std::string_view what, const Rows& rows, int positions) {
  if (!rows) return;
  for (const SpeedRow& row : *rows)
    put("{:<8}{:<6}{:>5}{:>10.4g}{:>13.0f}{:>13}{:>12}{:>13}{:>9}{:>9}{:>9}{:>9}\n", what,
        name(row.precision), row.batch ? fmt::to_string(*row.batch) : "-", row.images.median,
        row.images.median * positions, percent(row.fraction_of_peak),
        percent(row.fraction_of_bandwidth), percent(row.fraction_of_roofline()),
        row.images.repeats > 1 ? percent(row.images.spread) : "-", megabytes(row.peak_bytes),
        megabytes(row.weight_bytes), megabytes(row.state_bytes));
}

}  // namespace

void print_json(const BenchReport& report) {
  Json json = {
      {"machine",
       {{"cpu", report.processor},
        {"instructions", report.instructions},
        {"threads", report.threads}}},
      {"model",
       {{"source", report.source},
        {"config", Json::parse(to_json(report.config))},
        {"positions", report.config.positions()},
        {"parameters", report.parameters},
        {"product_operations_per_image", product_operations(report.config)}}},
  };
  if (report.ceilings) json["ceilings"] = to_json(*report.ceilings);
  for (const auto& [section, rows] :
       {std::pair("sample", &report.sample), std::pair("eval", &report.eval),
        std::pair("train", &report.train)}) {
    if (!*rows) continue;
    json[section] = Json::array();
    for (const SpeedRow& row : **rows)
      json[section].push_back(to_json(row, report.config.positions()));
  }
  print_json(json);
}

void print_table(const BenchReport& report) {
  put("machine  {}, {}\n", report.processor, plural(report.threads, "thread"));
  put("uses     {}\n", report.instructions);
  put("model    {}: {:.1f} M parameters, {:.2f} GFLOP of products an image\n", report.source,
      static_cast<double>(report.parameters) / 1e6,
      static_cast<double>(product_operations(report.config)) / 1e9);
  if (report.ceilings) print_ceilings(*report.ceilings);
  if (!report.sample && !report.eval && !report.train) return;
  const int positions = report.config.positions();
  put("\n{:<14}{:>5}{:>10}{:>13}{:>13}{:>12}{:>13}{:>9}{:>9}{:>9}{:>9}\n", "", "batch", "images/s",
      "positions/s", "of products", "of reading", "of roofline", "spread", "peak MB", "weights",
      "state");
  print_rows("sample", report.sample, positions);
  print_rows("eval", report.eval, positions);
  print_rows("train", report.train, positions);
}

}  // namespace combiner

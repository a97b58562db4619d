#include "training/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/json.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr const char* kHoldOutSeed = "hold_out_seed";  // the only field that may be absent

// Calls visit(name, field) for every field but the optimiser's kind and the hold-out's seed.
template <class Options, class Visit>
void for_each_field(Options& options, const Visit& visit) {
  visit("weight_decay", options.optimizer.weight_decay);
  visit("muon_momentum", options.optimizer.muon_momentum);
  visit("beta1", options.optimizer.beta1);
  visit("beta2", options.optimizer.beta2);
  visit("epsilon", options.optimizer.epsilon);
  visit("batch", options.batch);
  visit("learning_rate", options.learning_rate);
  visit("warmup_steps", options.warmup_steps);
  visit("decay_fraction", options.decay_fraction);
  visit("clip_norm", options.clip_norm);
  visit("average_decay", options.average_decay);
  visit("flips", options.flips);
  visit("seed", options.seed);
}

}  // namespace

std::string_view name(OptimizerKind kind) { return kind == OptimizerKind::muon ? "muon" : "adamw"; }

std::optional<OptimizerKind> optimizer_named(std::string_view name) {
  for (const OptimizerKind kind : {OptimizerKind::muon, OptimizerKind::adamw})
    if (combiner::name(kind) == name) return kind;
  return std::nullopt;
}

void validate(const TrainingOptions& options, std::string_view source) {
  // Every condition is false for a NaN.
  const auto require = [&](bool good, std::string_view name, auto value, std::string_view wanted) {
    if (!good) throw Error(fmt::format("{}: {} is {}, expected {}", source, name, value, wanted));
  };
  const auto require_positive = [&](std::string_view name, double value) {
    require(value > 0 && std::isfinite(value), name, value, "a finite number above 0");
  };
  const auto require_average = [&](std::string_view name, float value) {
    require(value >= 0 && value < 1, name, value, "a number from 0 to below 1");
  };
  const auto require_fraction = [&](std::string_view name, double value) {
    require(value >= 0 && value <= 1, name, value, "a number from 0 to 1");
  };
  const OptimizerOptions& optimizer = options.optimizer;
  require(optimizer.weight_decay >= 0 && std::isfinite(optimizer.weight_decay), "weight_decay",
          optimizer.weight_decay, "a finite number of 0 or more");
  require_average("muon_momentum", optimizer.muon_momentum);
  require_average("beta1", optimizer.beta1);
  require_average("beta2", optimizer.beta2);
  require_positive("epsilon", optimizer.epsilon);
  require(options.batch >= 1 && options.batch <= kMostImagesPerStep, "batch", options.batch,
          fmt::format("1 to {} images", kMostImagesPerStep));
  require_positive("learning_rate", options.learning_rate);
  require(options.warmup_steps >= 0, "warmup_steps", options.warmup_steps, "0 or more");
  require_fraction("decay_fraction", options.decay_fraction);
  require_positive("clip_norm", options.clip_norm);
  require_fraction("average_decay", options.average_decay);
}

std::string to_json(const TrainingOptions& options) {
  nlohmann::ordered_json json;
  json["optimizer"] = name(options.optimizer.kind);
  for_each_field(options, [&](const char* name, const auto& field) { json[name] = field; });
  if (options.hold_out_seed) json[kHoldOutSeed] = *options.hold_out_seed;
  return json.dump();
}

TrainingOptions parse_training_options(std::string_view text, std::string_view source) {
  const std::string place = fmt::format("{}: bad training options", source);
  const Json json = parse_json(text, fmt::format("{}: the text", place));
  const auto value = [&](const char* name) -> const Json& {
    if (!json.contains(name))
      throw Error(fmt::format(
          "{}: there is no {}; were they written by another version of combiner?", place, name));
    return json[name];
  };
  TrainingOptions options;
  const Json& optimizer = value("optimizer");
  const std::optional<OptimizerKind> kind =
      optimizer.is_string() ? optimizer_named(optimizer.get_ref<const std::string&>())
                            : std::nullopt;
  if (!kind)
    throw Error(
        fmt::format("{}: optimizer is {}, expected muon or adamw", place, shown(optimizer)));
  options.optimizer.kind = *kind;
  for_each_field(options, [&]<class Field>(const char* name, Field& field) {
    constexpr bool kTruth = std::is_same_v<Field, bool>;
    constexpr bool kWhole = std::is_integral_v<Field> && !kTruth;
    const Json& given = value(name);
    if (!(kTruth ? given.is_boolean() : kWhole ? given.is_number_integer() : given.is_number()))
      throw Error(fmt::format("{}: {} is {}, expected a {}", place, name, shown(given),
                              kTruth   ? "truth value"
                              : kWhole ? "whole number"
                                       : "number"));
    field = given.template get<Field>();
  });
  if (json.contains(kHoldOutSeed)) {
    if (!json[kHoldOutSeed].is_number_unsigned())
      throw Error(fmt::format("{}: {} is {}, expected a whole number", place, kHoldOutSeed,
                              shown(json[kHoldOutSeed])));
    options.hold_out_seed = json[kHoldOutSeed].get<uint64_t>();
  }
  validate(options, source);
  // Catches unknown fields and numbers of the wrong type, which the code above accepts.
  if (to_json(options) != text)
    throw Error(fmt::format("{}: {}, expected {}", place, text.substr(0, 1000), to_json(options)));
  return options;
}

double learning_rate(const TrainingOptions& options, int64_t step, double fraction_done) {
  const double warm =
      options.warmup_steps > 0
          ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps))
          : 1.0;
  const double left = std::clamp(1.0 - fraction_done, 0.0, 1.0);
  const double decay =
      options.decay_fraction > 0 ? std::min(1.0, left / options.decay_fraction) : 1.0;
  return options.learning_rate * warm * decay;
}

}  // namespace combiner

// A trainer's state as a safetensors file: flat F32 tensors in the parameters' layout, and in the
// metadata the config, the options and the counters.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "error.h"
#include "model/safetensors.h"
#include "training/trainer.h"

namespace combiner {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "combiner-checkpoint-1";

std::string metadata(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw Error(fmt::format("{}: the metadata has no {}; is this a training checkpoint?",
                            file.path().string(), key));
  return found->second;
}

template <class Number>
Number number(const SafetensorsFile& file, const std::string& key) {
  const std::string text = metadata(file, key);
  Number value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !(value >= 0))
    throw Error(fmt::format("{}: {} in the metadata is '{}', expected a number of 0 or more",
                            file.path().string(), key, text));
  return value;
}

SafetensorsFile open_checkpoint(const std::filesystem::path& path) {
  SafetensorsFile file = SafetensorsFile::open(path);
  const std::string format = metadata(file, "format");
  if (format != kFormat)
    throw Error(fmt::format("{}: checkpoint format is '{}', expected '{}'", path.string(), format,
                            kFormat));
  return file;
}

}  // namespace

std::string to_json(const TrainingOptions& options) {
  Json json;
  json["optimizer"] = options.optimizer.kind == OptimizerKind::muon ? "muon" : "adamw";
  json["weight_decay"] = options.optimizer.weight_decay;
  json["muon_momentum"] = options.optimizer.muon_momentum;
  json["beta1"] = options.optimizer.beta1;
  json["beta2"] = options.optimizer.beta2;
  json["epsilon"] = options.optimizer.epsilon;
  json["batch"] = options.batch;
  json["learning_rate"] = options.learning_rate;
  json["warmup_steps"] = options.warmup_steps;
  json["decay_fraction"] = options.decay_fraction;
  json["clip_norm"] = options.clip_norm;
  json["average_decay"] = options.average_decay;
  json["flips"] = options.flips;
  json["seed"] = options.seed;
  return json.dump();
}

TrainingOptions parse_training_options(std::string_view text, std::string_view source) {
  try {
    const Json json = Json::parse(text);
    TrainingOptions options;
    const auto kind = json.at("optimizer").get<std::string>();
    if (kind != "muon" && kind != "adamw")
      throw Error(fmt::format("{}: optimizer is '{}', expected muon or adamw", source, kind));
    options.optimizer.kind = kind == "muon" ? OptimizerKind::muon : OptimizerKind::adamw;
    json.at("weight_decay").get_to(options.optimizer.weight_decay);
    json.at("muon_momentum").get_to(options.optimizer.muon_momentum);
    json.at("beta1").get_to(options.optimizer.beta1);
    json.at("beta2").get_to(options.optimizer.beta2);
    json.at("epsilon").get_to(options.optimizer.epsilon);
    json.at("batch").get_to(options.batch);
    json.at("learning_rate").get_to(options.learning_rate);
    json.at("warmup_steps").get_to(options.warmup_steps);
    json.at("decay_fraction").get_to(options.decay_fraction);
    json.at("clip_norm").get_to(options.clip_norm);
    json.at("average_decay").get_to(options.average_decay);
    json.at("flips").get_to(options.flips);
    json.at("seed").get_to(options.seed);
    if (options.batch < 1)
      throw Error(fmt::format("{}: batch is {}, expected 1 or more", source, options.batch));
    return options;
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: bad training options: {}", source, error.what()));
  }
}

CheckpointHeader read_checkpoint_header(const std::filesystem::path& path) {
  const SafetensorsFile file = open_checkpoint(path);
  return {parse_config(metadata(file, "config"), path.string()),
          parse_training_options(metadata(file, "training"), path.string())};
}

void Trainer::save(const std::filesystem::path& path, double seconds) {
  OptimizerState& state = optimizer_.state();
  std::vector<TensorView> tensors;
  const auto add = [&](const char* name, const Buffer<float>& values) {
    tensors.push_back(
        {name, DType::f32, {static_cast<int64_t>(values.size())}, std::as_bytes(values.span())});
  };
  add("weights", weights_.values);
  add("average", average_.values);
  add("moment1", state.moment1);
  add("moment2", state.moment2);
  add("smooth_moment1", state.smooth_moment1);
  add("smooth_moment2", state.smooth_moment2);
  write_safetensors(path,
                    {{"format", kFormat},
                     {"config", to_json(weights_.config)},
                     {"training", to_json(options_)},
                     {"step", std::to_string(steps_)},
                     {"images", std::to_string(images_)},
                     {"seconds", fmt::format("{}", seconds)}},
                    tensors);
}

double Trainer::restore(const std::filesystem::path& path) {
  const SafetensorsFile file = open_checkpoint(path);
  OptimizerState& state = optimizer_.state();
  const auto read = [&](const char* name, Buffer<float>& values) {
    const TensorView* tensor = file.find(name);
    if (!tensor) throw Error(fmt::format("{}: tensor {} is missing", path.string(), name));
    try {
      to_floats(*tensor, values.span());
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", path.string(), error.what()));
    }
  };
  read("weights", weights_.values);
  read("average", average_.values);
  read("moment1", state.moment1);
  read("moment2", state.moment2);
  read("smooth_moment1", state.smooth_moment1);
  read("smooth_moment2", state.smooth_moment2);
  steps_ = number<int64_t>(file, "step");
  images_ = number<int64_t>(file, "images");
  state.steps = steps_;
  refresh_product_values();
  return number<double>(file, "seconds");
}

}  // namespace combiner

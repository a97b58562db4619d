// A checkpoint is a safetensors file: flat F32 tensors in the parameters' layout and, in the
// metadata, the config, the options and the counters.
#include "training/checkpoint.h"

#include <fmt/format.h>

#include "base/parse_number.h"
#include "base/plural.h"
#include "base/printable.h"
#include "combiner/error.h"
#include "training/data_sample.h"
#include "training/trainer.h"
#include "weights/checksum.h"
#include "weights/safetensors.h"

namespace combiner {
namespace {

constexpr const char* kFormat = "combiner-checkpoint-1";

std::string metadata(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw Error(fmt::format("{}: the metadata has no {}; is this a training checkpoint?",
                            file.path().string(), key));
  return found->second;
}

// Beyond any training, and far from where counting on would overflow.
constexpr double kMostCounted = 1e15;

template <class Number>
Number number(const SafetensorsFile& file, const std::string& key) {
  const std::string text = metadata(file, key);
  const std::optional<Number> value = parse_number<Number>(text);
  if (!value || !(*value >= 0 && static_cast<double>(*value) <= kMostCounted))
    throw Error(fmt::format("{}: {} in the metadata is '{}', expected a number from 0 to {:.0f}",
                            file.path().string(), key, printable(text.substr(0, 100)),
                            kMostCounted));
  return *value;
}

SafetensorsFile open_checkpoint(const std::filesystem::path& path, const Cancel& cancel = {}) {
  SafetensorsFile file = SafetensorsFile::open(path, cancel);
  if (file.metadata().contains("config") && !file.metadata().contains("format"))
    throw Error(
        fmt::format("{}: is a model's weights, not a training checkpoint; expected the .checkpoint "
                    "file that train wrote beside them",
                    path.string()));
  const std::string format = metadata(file, "format");
  if (format != kFormat)
    throw Error(fmt::format("{}: checkpoint format is '{}', expected '{}'", path.string(),
                            printable(format.substr(0, 100)), kFormat));
  return file;
}

const TensorView& tensor_of(const SafetensorsFile& file, const char* name) {
  const TensorView* tensor = file.find(name);
  if (!tensor) throw Error(fmt::format("{}: tensor {} is missing", file.path().string(), name));
  return *tensor;
}

CheckpointHeader read_header(const SafetensorsFile& file) {
  const std::string source = file.path().string();
  std::optional<Precision> precision;  // old checkpoints have none
  if (file.metadata().contains("precision")) {
    const std::string name = metadata(file, "precision");
    precision = precision_named(name);
    if (precision != Precision::f32 && precision != Precision::bf16)
      throw Error(fmt::format("{}: precision in the metadata is {}, expected 'f32' or 'bf16'",
                              source, typed(name)));
  }
  CheckpointHeader header = {parse_config(metadata(file, "config"), source),
                             parse_training_options(metadata(file, "training"), source),
                             number<int64_t>(file, "training_images"),
                             number<int64_t>(file, "step"), precision};
  // Memory is taken for what the config says.
  const auto expected = static_cast<int64_t>(Parameters(header.config).size);
  const TensorView& weights = tensor_of(file, "weights");
  if (weights.elements() != expected)
    throw Error(
        fmt::format("{}: tensor \"weights\" has {} elements, expected {}, as its config says",
                    source, weights.elements(), expected));
  return header;
}

void read_tensor(const SafetensorsFile& file, const char* name, Buffer<float>& values) {
  const TensorView& tensor = tensor_of(file, name);
  try {
    to_floats(tensor, values.span());
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", file.path().string(), error.what()));
  }
}

}  // namespace

CheckpointHeader read_checkpoint_header(const std::filesystem::path& path) {
  return read_header(open_checkpoint(path));
}

template <class AnyTrainer, class Visit>
void Trainer::for_each_tensor(AnyTrainer& trainer, const Visit& visit) {
  auto& state = trainer.optimizer_.state();
  visit("weights", trainer.weights_.values);
  visit("average", trainer.average_.values);
  visit("moment1", state.moment1);
  visit("moment2", state.moment2);
  visit("smooth_moment1", state.smooth_moment1);
  visit("smooth_moment2", state.smooth_moment2);
}

std::string Trainer::state() const {
  std::vector<std::span<const std::byte>> parts;
  for_each_tensor(*this, [&](const char*, const Buffer<float>& values) {
    parts.push_back(std::as_bytes(values.span()));
  });
  return fmt::format("step {}, {}, checksum {}", steps(), plural(images_, "image"),
                     checksum(parts));
}

void Trainer::save(const std::filesystem::path& path, double seconds) const {
  std::vector<TensorView> tensors;
  for_each_tensor(*this, [&](const char* name, const Buffer<float>& values) {
    tensors.push_back(
        {name, DType::f32, {static_cast<int64_t>(values.size())}, std::as_bytes(values.span())});
  });
  write_safetensors(path,
                    {{"format", kFormat},
                     {"config", to_json(weights_.config)},
                     {"training", to_json(options_)},
                     {"training_images", std::to_string(data_->size())},
                     {"data_sample", data_sample_},
                     {"precision", std::string(name(precision_))},
                     {"step", std::to_string(steps())},
                     {"images", std::to_string(images_)},
                     {"seconds", fmt::format("{}", seconds)}},
                    tensors);
}

double Trainer::restore(const std::filesystem::path& path) {
  const SafetensorsFile file = open_checkpoint(path, cancel_);
  const auto require = [&](bool good, std::string_view problem) {
    if (!good) throw Error(fmt::format("{}: {}", path.string(), problem));
  };
  const CheckpointHeader header = read_header(file);
  require(header.config == weights_.config, "the checkpoint is of a model with another config");
  require(header.options.optimizer.kind == options_.optimizer.kind,
          "the checkpoint holds the state of another optimiser; go on with the same");
  // Images may have been taken out or added since. Old checkpoints have no sample.
  const auto sample = file.metadata().find("data_sample");
  require(header.training_images != data_->size() || sample == file.metadata().end() ||
              alike(sample->second, data_sample_),
          fmt::format("the checkpoint was trained on {}; go on with the same data set and, if it "
                      "is of several, in the same order",
                      plural(header.training_images, "other image")));
  const auto images = number<int64_t>(file, "images");
  const auto seconds = number<double>(file, "seconds");

  for_each_tensor(*this, [&](const char* name, Buffer<float>& values) {
    cancel_.poll();
    read_tensor(file, name, values);
  });
  optimizer_.state().steps = header.step;
  images_ = images;
  packed_.refresh(team_);
  return seconds;
}

}  // namespace combiner

#include "weights/weights_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/file_kind.h"
#include "base/read_file.h"
#include "combiner/error.h"
#include "model/layers/embedding.h"
#include "tensor/bfloat16.h"
#include "tensor/int8_row.h"

namespace combiner {
namespace {

constexpr const char* kConfigKey = "config";
constexpr const char* kFormatKey = "format";  // of checkpoints
constexpr std::string_view kCheckpointFormat = "combiner-checkpoint";
constexpr const char* kScaleEnding = ".scale";
// An error message lists at most this many faults and counts the rest.
constexpr size_t kMostFaults = 8;

// A quantizable weight must have scales if it is I8, and must not otherwise. Either tensor may be
// absent (null).
void find_scale_faults(const Parameter& parameter, const std::string& scale_name,
                       const TensorView* tensor, const TensorView* scale,
                       std::vector<std::string>& faults) {
  const bool is_int8 = tensor && tensor->dtype == DType::i8;
  const std::vector<int64_t> shape = {parameter.out()};
  if (is_int8 && !scale)
    faults.push_back(fmt::format("tensor {} is missing, expected with shape {} beside {}, an I8",
                                 scale_name, shape_text(shape), parameter.name));
  if (!is_int8 && scale)
    faults.push_back(fmt::format("tensor {} is one too many: {} is {}, and only I8 has scales",
                                 scale_name, parameter.name,
                                 tensor ? name(tensor->dtype) : "missing"));
  if (!is_int8 || !scale) return;
  if (scale->shape != shape)
    faults.push_back(fmt::format("tensor {} has shape {}, expected {}", scale_name,
                                 shape_text(scale->shape), shape_text(shape)));
  if (scale->dtype != DType::f32)
    faults.push_back(
        fmt::format("tensor {} is of dtype {}, expected F32", scale_name, name(scale->dtype)));
}

// All differences between the tensors in the file and those that the config requires.
std::vector<std::string> find_faults(const SafetensorsFile& file, const Parameters& parameters) {
  std::vector<std::string> faults;
  std::set<std::string, std::less<>> known;
  for (const Parameter& parameter : parameters.list) {
    known.insert(parameter.name);
    const TensorView* tensor = file.find(parameter.name);
    if (!tensor)
      faults.push_back(fmt::format("tensor {} is missing, expected with shape {}", parameter.name,
                                   shape_text(parameter.shape)));
    else if (tensor->shape != parameter.shape)
      faults.push_back(fmt::format("tensor {} has shape {}, expected {}", parameter.name,
                                   shape_text(tensor->shape), shape_text(parameter.shape)));
    const bool is_int8 = tensor && tensor->dtype == DType::i8;
    if (!parameter.quantizable && !is_int8) continue;
    const std::string& scale_name = *known.insert(parameter.name + kScaleEnding).first;
    if (parameter.quantizable)
      find_scale_faults(parameter, scale_name, tensor, file.find(scale_name), faults);
    else
      faults.push_back(fmt::format(
          "tensor {} is of dtype I8, expected F32, BF16 or F16; quantize the model again",
          parameter.name));
  }
  for (const TensorView& tensor : file.tensors())
    if (!known.contains(tensor.name))
      faults.push_back(fmt::format("tensor {} {} is unknown to this config", tensor.name,
                                   shape_text(tensor.shape)));
  return faults;
}

void check_finite(const std::filesystem::path& path, const Parameter& parameter,
                  std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error(fmt::format("{}: tensor {} is {} at element {} of {}; the weights are damaged",
                              path.string(), parameter.name, values[i], i, values.size()));
}

std::vector<float> read_scales(const std::filesystem::path& path, const TensorView& tensor) {
  std::vector<float> scales(static_cast<size_t>(tensor.elements()));
  to_floats(tensor, scales);
  for (size_t i = 0; i < scales.size(); ++i)
    if (!(std::isfinite(scales[i]) && scales[i] >= 0))
      throw Error(
          fmt::format("{}: tensor {} is {} at element {} of {}, expected a finite number of "
                      "0 or more; the weights are damaged",
                      path.string(), tensor.name, scales[i], i, scales.size()));
  return scales;
}

// values[i] = q[i] * scale of its row.
void dequantize(const TensorView& tensor, std::span<const float> scales, std::span<float> values) {
  const size_t in = values.size() / scales.size();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int8_t>(tensor.data[i])) * scales[i / in];
}

// find_faults must already have checked that the parameter is present with the right shape.
void read_parameter(const SafetensorsFile& file, const Parameter& parameter,
                    std::span<float> values) {
  const TensorView& tensor = *file.find(parameter.name);
  if (parameter.quantizable && tensor.dtype == DType::i8) {
    const TensorView& scale = *file.find(parameter.name + kScaleEnding);
    dequantize(tensor, read_scales(file.path(), scale), values);
    return;
  }
  try {
    to_floats(tensor, values);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", file.path().string(), error.what()));
  }
}

void check_stem(const std::filesystem::path& path, const ModelConfig& config,
                std::span<const float> stem) {
  const auto columns = static_cast<size_t>(config.stem->columns);
  for (size_t i = 0; i < stem.size(); ++i)
    if (is_unseen(*config.stem, i) && stem[i] != 0.0f)
      throw Error(fmt::format(
          "{}: tensor embed.stem.weight is {} at window row {}, column {}, expected 0: that tap "
          "would see the predicted pixel or one after it; mask the weights before saving",
          path.string(), stem[i], config.stem->rows - 1, i % columns));
}

bool is_bfloat16(float value) { return to_float(to_bfloat16(value)) == value; }

void refuse_checkpoint(const SafetensorsFile& file) {
  if (!is_checkpoint(file)) return;
  std::filesystem::path weights = file.path();
  weights.replace_extension(".safetensors");
  throw Error(
      fmt::format("{}: is a training checkpoint, for train --resume; the weights are in the file "
                  "that train -o names, {} by default",
                  file.path().string(), weights.string()));
}

// Whether a file that can't be read as a whole is one of ours nevertheless: metadata comes first.
bool begins_as_weights(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_start(path);
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto holds = [&](std::string_view part) { return start.find(part) != start.npos; };
  return is_safetensors(bytes) && holds(kConfigFormat) && !holds(kCheckpointFormat);
}

// Collects the tensors to write, and owns the bytes of those that it converts.
class TensorWriter {
 public:
  // Adds a tensor as F32 or BF16. `values` must outlive the writer.
  void add(const std::string& name, const std::vector<int64_t>& shape, DType dtype,
           std::span<const float> values) {
    if (dtype == DType::f32) {
      views_.push_back({name, dtype, shape, std::as_bytes(values)});
      return;
    }
    const std::span<bfloat16> halves = storage<bfloat16>(values.size());
    std::ranges::transform(values, halves.begin(), to_bfloat16);
    views_.push_back({name, dtype, shape, std::as_bytes(halves)});
  }

  // Adds a weight as I8, and its scales.
  void add_quantized(const Parameter& parameter, std::span<const float> values) {
    const std::span<int8_t> quantized = storage<int8_t>(values.size());
    const std::span<float> scales = storage<float>(static_cast<size_t>(parameter.out()));
    const auto in = static_cast<size_t>(parameter.in());
    for (size_t i = 0; i < scales.size(); ++i)
      scales[i] = quantize_row(values.subspan(i * in, in), quantized.subspan(i * in, in));
    views_.push_back({parameter.name, DType::i8, parameter.shape, std::as_bytes(quantized)});
    views_.push_back(
        {parameter.name + kScaleEnding, DType::f32, {parameter.out()}, std::as_bytes(scales)});
  }

  // Sorts tensors with larger elements first, which aligns all of them in the file.
  std::span<const TensorView> views() {
    std::ranges::stable_sort(views_, std::greater(),
                             [](const TensorView& view) { return byte_size(view.dtype); });
    return views_;
  }

 private:
  template <class T>
  std::span<T> storage(size_t count) {
    Buffer<std::byte>& bytes = storage_.emplace_back(count * sizeof(T));
    return {reinterpret_cast<T*>(bytes.data()), count};
  }

  std::vector<TensorView> views_;
  std::vector<Buffer<std::byte>> storage_;
};

}  // namespace

bool is_checkpoint(const SafetensorsFile& file) {
  const auto format = file.metadata().find(kFormatKey);
  return format != file.metadata().end() && format->second.starts_with(kCheckpointFormat);
}

Weights load_weights(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  refuse_checkpoint(file);
  const auto config_text = file.metadata().find(kConfigKey);
  if (config_text == file.metadata().end())
    throw Error(
        fmt::format("{}: no model config: the file's metadata has no key \"{}\"; is this "
                    "another program's safetensors file?",
                    path.string(), kConfigKey));
  const ModelConfig config = parse_config(config_text->second, path.string());

  // Check this before allocating memory, because a config may claim any size.
  const std::vector<std::string> faults = find_faults(file, Parameters(config));
  if (!faults.empty()) {
    const size_t listed = std::min(faults.size(), kMostFaults);
    std::string text = fmt::format(
        "{}: the tensors do not fit the config: {}", path.string(),
        fmt::join(faults.begin(), faults.begin() + static_cast<std::ptrdiff_t>(listed), "; "));
    if (listed < faults.size()) text += fmt::format("; and {} more", faults.size() - listed);
    throw Error(text);
  }

  Weights weights(config);
  for (const Parameter& parameter : weights.parameters.list) {
    const std::span<float> values(weights.values.data() + parameter.offset, parameter.size);
    read_parameter(file, parameter, values);
    check_finite(path, parameter, values);
    if (config.stem && parameter.offset == weights.parameters.embedding.stem.weight)
      check_stem(path, config, values);
  }
  return weights;
}

WeightsThere weights_at(const std::filesystem::path& path) {
  constexpr const char* kWouldBeLost = "it would be overwritten; choose another name";
  std::error_code ignored;  // a file that can't be examined can't be written either
  if (!std::filesystem::is_regular_file(path, ignored) ||
      std::filesystem::file_size(path, ignored) == 0)
    return WeightsThere::no;
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    const auto config = file.metadata().find(kConfigKey);
    if (config != file.metadata().end() &&
        config->second.find(kConfigFormat) != std::string::npos && !is_checkpoint(file))
      return WeightsThere::yes;
  } catch (const Error& error) {
    if (begins_as_weights(path)) return WeightsThere::damaged;
    throw Error(fmt::format("{}; {}", error.what(), kWouldBeLost));
  }
  throw Error(fmt::format("{}: is not a model's weights; {}", path.string(), kWouldBeLost));
}

void save_weights(const Weights& weights, DType dtype, const std::filesystem::path& path,
                  Metadata metadata) {
  metadata[kConfigKey] = to_json(weights.config);
  TensorWriter tensors;
  for (const Parameter& parameter : weights.parameters.list) {
    const auto values = weights.values.span().subspan(parameter.offset, parameter.size);
    if (dtype != DType::i8)
      tensors.add(parameter.name, parameter.shape, dtype, values);
    else if (parameter.quantizable)
      tensors.add_quantized(parameter, values);
    else
      tensors.add(parameter.name, parameter.shape,
                  std::ranges::all_of(values, is_bfloat16) ? DType::bf16 : DType::f32, values);
  }
  write_safetensors(path, metadata, tensors.views());
}

}  // namespace combiner

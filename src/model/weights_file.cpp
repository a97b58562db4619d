#include "model/weights_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <set>

#include "error.h"
#include "kernels/rows.h"

namespace combiner {
namespace {

constexpr const char* kConfigKey = "config";
// More faults than this in one file are counted, not listed.
constexpr size_t kMostFaults = 8;

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Every difference between the tensors a file has and those its config asks for.
std::vector<std::string> find_faults(const SafetensorsFile& file, const Parameters& parameters) {
  std::vector<std::string> faults;
  std::set<std::string_view> known;
  for (const Parameter& parameter : parameters.list) {
    known.insert(parameter.name);
    const TensorView* tensor = file.find(parameter.name);
    if (!tensor)
      faults.push_back(fmt::format("tensor {} is missing, expected with shape {}", parameter.name,
                                   shape_text(parameter.shape)));
    else if (tensor->shape != parameter.shape)
      faults.push_back(fmt::format("tensor {} has shape {}, expected {}", parameter.name,
                                   shape_text(tensor->shape), shape_text(parameter.shape)));
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

// Taps at and after the predicted pixel: the middle column and those to its right, in the last row.
void check_stem(const std::filesystem::path& path, const ModelConfig& config,
                std::span<const float> stem) {
  const auto rows = static_cast<size_t>(config.stem->rows);
  const auto columns = static_cast<size_t>(config.stem->columns);
  for (size_t i = 0; i < stem.size(); ++i) {
    const size_t row = i / columns % rows;
    const size_t column = i % columns;
    if (row == rows - 1 && column >= columns / 2 && stem[i] != 0.0f)
      throw Error(fmt::format(
          "{}: tensor embed.stem.weight is {} at window row {}, column {}, expected 0: that tap "
          "would see the predicted pixel or one after it; mask the weights before saving",
          path.string(), stem[i], row, column));
  }
}

}  // namespace

Weights load_weights(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto config_text = file.metadata().find(kConfigKey);
  if (config_text == file.metadata().end())
    throw Error(
        fmt::format("{}: no model config: the file's metadata has no key \"{}\"; is this "
                    "another program's safetensors file?",
                    path.string(), kConfigKey));
  const ModelConfig config = parse_config(config_text->second, path.string());

  // Before memory is taken: a config may claim any size.
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
    try {
      to_floats(*file.find(parameter.name), values);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", path.string(), error.what()));
    }
    check_finite(path, parameter, values);
    if (config.stem && parameter.offset == weights.parameters.embed.stem)
      check_stem(path, config, values);
  }
  return weights;
}

void save_weights(const Weights& weights, DType dtype, const std::filesystem::path& path,
                  std::map<std::string, std::string> metadata) {
  metadata[kConfigKey] = to_json(weights.config);
  Buffer<bfloat16> halves;
  if (dtype == DType::bf16) {
    halves = Buffer<bfloat16>(weights.values.size());
    const auto size = static_cast<int64_t>(halves.size());
    convert<float, bfloat16>({weights.values.data(), 1, size}, {halves.data(), 1, size});
  }
  std::vector<TensorView> tensors;
  for (const Parameter& parameter : weights.parameters.list) {
    const auto bytes =
        dtype == DType::bf16
            ? std::as_bytes(halves.span().subspan(parameter.offset, parameter.size))
            : std::as_bytes(weights.values.span().subspan(parameter.offset, parameter.size));
    tensors.push_back({parameter.name, dtype, parameter.shape, bytes});
  }
  write_safetensors(path, metadata, tensors);
}

}  // namespace combiner

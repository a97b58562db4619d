// combiner info: describes the contents of a weights file, a checkpoint, a config or of packed
// pictures, or how a picture was made.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <system_error>

#include "base/file_kind.h"
#include "base/json.h"
#include "base/plural.h"
#include "base/printable.h"
#include "base/read_file.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/recipe.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "codec/coded_file.h"
#include "combiner/error.h"
#include "model/model.h"
#include "sampling/memory.h"
#include "training/checkpoint.h"
#include "weights/mapped_file.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct ParameterCounts {
  size_t embedding = 0, blocks = 0, head = 0;  // the final LayerNorm counts towards the head
  size_t total() const { return embedding + blocks + head; }
};

constexpr const char* kDescribed =
    "a model's weights, checkpoint or config (.json), or a PNG or packed file that combiner made";

ParameterCounts count_parameters(const Parameters& parameters) {
  ParameterCounts counts;
  for (const Parameter& parameter : parameters.list) {
    if (parameter.name.starts_with("embed."))
      counts.embedding += parameter.size;
    else if (parameter.name.starts_with("blocks."))
      counts.blocks += parameter.size;
    else
      counts.head += parameter.size;
  }
  return counts;
}

struct Info {
  std::string path;
  ModelConfig config;
  ParameterCounts parameters;
  std::set<std::string_view> dtypes;
  uintmax_t file_bytes = 0;
  std::string sha256;
  int64_t float_bytes = 0;  // of all weights as float, as loaded
  SamplingMemory f32, bf16, int8;

  int64_t at_batch(const SamplingMemory& memory, int64_t images) const {
    return float_bytes + memory.weights + images * memory.state;
  }
};

Info inspect(const std::filesystem::path& path) {
  const Weights weights = load_weights(path);
  Info info;
  info.path = path.string();
  info.config = weights.config;
  info.parameters = count_parameters(weights.parameters);
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const TensorView& tensor : file.tensors()) info.dtypes.insert(name(tensor.dtype));
  info.file_bytes = std::filesystem::file_size(path);
  info.sha256 = sha256_of_file(path);
  info.float_bytes = static_cast<int64_t>(weights.values.size() * sizeof(float));
  info.f32 = sampling_memory(weights, Precision::f32);
  info.bf16 = sampling_memory(weights, Precision::bf16);
  info.int8 = sampling_memory(weights, Precision::int8);
  return info;
}

Json json_of(const ParameterCounts& counts) {
  return {{"embedding", counts.embedding},
          {"blocks", counts.blocks},
          {"head", counts.head},
          {"total", counts.total()}};
}

Json json_of(const Info& info) {
  const auto memory = [&](const SamplingMemory& m) {
    return Json{{"batch_1", info.at_batch(m, 1)}, {"batch_64", info.at_batch(m, 64)}};
  };
  return {
      {"model", info.path},
      {"config", Json::parse(to_json(info.config))},
      {"positions", info.config.positions()},
      {"parameters", json_of(info.parameters)},
      {"product_operations_per_image", product_operations(info.config)},
      {"dtypes", info.dtypes},
      {"file_bytes", info.file_bytes},
      {"sha256", info.sha256},
      {"sampling_weights_and_state_bytes",
       {{"f32", memory(info.f32)}, {"bf16", memory(info.bf16)}, {"int8", memory(info.int8)}}},
  };
}

void print_size(const ModelConfig& config, const ParameterCounts& counts) {
  put("parameters   {}\n", counts.total());
  put("  embedding  {}\n", counts.embedding);
  put("  blocks     {}\n", counts.blocks);
  put("  head       {}\n", counts.head);
  put("positions    {} an image ({} rows x {} columns)\n", config.positions(), config.rows(),
      config.columns());
  put("products     {:.2f} GFLOP an image, forward\n",
      static_cast<double>(product_operations(config)) / 1e9);
}

void print_table(const Info& info) {
  const auto megabytes = [](int64_t bytes) {
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  };
  put("file         {}\n", info.path);
  put("size         {}\n", plural(info.file_bytes, "byte"));
  put("sha256       {}\n", info.sha256);
  put("dtype        {}\n", fmt::join(info.dtypes, ", "));
  print_size(info.config, info.parameters);
  put("memory to sample: weights and KV cache, without work buffers\n");
  for (const int64_t batch : {1, 64})
    put("  batch {:<4} {} in f32, {} in bf16, {} in int8\n", batch,
        megabytes(info.at_batch(info.f32, batch)), megabytes(info.at_batch(info.bf16, batch)),
        megabytes(info.at_batch(info.int8, batch)));
  put("config       {}\n", to_json(info.config));
}

void print_fields(const Json& fields) {
  for (const auto& [key, value] : fields.items())
    put("{:<12} {}\n", printable(key),
        printable(value.is_string() ? value.get<std::string>() : on_one_line(value)));
}

void describe_picture(const std::string& path, bool json) {
  const Json made_by = read_made_by(path);
  if (json) return print_json(made_by);
  put("{:<12} {}\n", "file", path);
  print_fields(made_by);
}

void describe_packed(const std::string& path, bool json) {
  const MappedFile mapped(path);
  const std::span<const std::byte> bytes = mapped.bytes();
  const CodedFile file({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, path);
  const CodedHeader& header = file.header();
  std::set<std::pair<int, int>> sizes;
  int64_t subpixels = 0;
  for (const CodedPicture& picture : file.pictures()) {
    sizes.emplace(picture.width, picture.height);
    subpixels += int64_t{3} * picture.width * picture.height;
  }
  const bool any = !file.pictures().empty();
  const Json all = {
      {"file", path},
      {"model", header.model},
      {"sha256", header.sha256},
      {"precision", name(header.precision)},
      {"kernels", header.kernels},
      {"streams", file.streams()},
      {"stream_size", fmt::format("{}x{}", header.width, header.height)},
      {"pictures", file.pictures().size()},
      {"sizes", sizes.size() == 1
                    ? fmt::format("{}x{}", sizes.begin()->first, sizes.begin()->second)
                    : fmt::format("{} different", sizes.size())},
      {"names", any && !file.pictures().front().name.empty()},
      {"labels", any && file.pictures().front().label.has_value()},
      {"bytes", bytes.size()},
      {"bits_per_dim",
       any ? Json(8 * static_cast<double>(bytes.size()) / static_cast<double>(subpixels)) : Json()},
  };
  if (json)
    print_json(all);
  else
    print_fields(all);
}

void describe_config(const std::string& path, bool json) {
  const ModelConfig config = read_config(path);
  const ParameterCounts counts = count_parameters(Parameters(config));
  if (json)
    return print_json({{"file", path},
                       {"config", Json::parse(to_json(config))},
                       {"positions", config.positions()},
                       {"parameters", json_of(counts)},
                       {"product_operations_per_image", product_operations(config)}});
  put("file         {}\n", path);
  print_size(config, counts);
  put("config       {}\n", to_json(config));
}

void describe_checkpoint(const std::string& path, bool json) {
  const CheckpointHeader header = read_checkpoint_header(path);
  const Json all = {
      {"file", path},
      {"step", header.step},
      {"images", header.training_images},
      {"precision", header.precision ? Json(name(*header.precision)) : Json()},
      {"options", Json::parse(to_json(header.options))},
      {"config", Json::parse(to_json(header.config))},
  };
  json ? print_json(all) : print_fields(all);
}

void describe_model(const std::string& model, bool json) {
  const Info info = inspect(find_model(model));
  if (json)
    print_json(json_of(info));
  else
    print_table(info);
}

// Throws Error unless the file may be one of the kinds that are described.
void describe_file(const std::string& path, bool json) {
  if (is_png(path)) return describe_picture(path, json);
  if (is_coded_file(path)) return describe_packed(path, json);
  const std::string kind = file_kind(fs::path(path));
  if (fs::path(path).extension() == ".json" || kind == kConfigKind)
    return describe_config(path, json);
  if (is_safetensors(read_start(path))) {
    if (is_checkpoint(SafetensorsFile::open(path))) return describe_checkpoint(path, json);
  } else if (!kind.empty()) {
    throw Error(fmt::format("{}: is {}; expected {}", path, kind, kDescribed));
  }
  describe_model(path, json);
}

}  // namespace

Action info_command(CLI::App& command) {
  struct Options {
    std::string model, file;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::Option* const model = add_model_option(command, options->model);
  command
      .add_option("FILE", options->file,
                  "A model's weights, checkpoint or config, or a PNG or packed file that combiner "
                  "made [cifar10]")
      ->type_name("")
      ->excludes(model);
  command.add_flag("--json", options->json, "Print JSON");
  return [options] {
    if (options->file.empty())
      describe_model(options->model, options->json);
    else
      describe_file(options->file, options->json);
  };
}

}  // namespace combiner

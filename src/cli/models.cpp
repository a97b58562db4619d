// combiner models: lists the models that the program comes with.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

using Json = nlohmann::ordered_json;

// What eval --json has said of a model, which lies beside it: cifar10.eval.json for
// cifar10.safetensors. Null if there is no such file or if it is of other weights.
Json evaluation(std::filesystem::path model, const std::string& sha256) {
  std::ifstream file(model.replace_extension(".eval.json"));
  const Json json = Json::parse(file, nullptr, false);
  const bool fits = json.is_object() && json.value("sha256", Json()) == sha256 &&
                    json.value("bits_per_dim", Json()).is_number() &&
                    json.value("images", Json()).is_number();
  return fits ? json : Json();
}

Json json_of(const std::filesystem::path& path) {
  const Weights weights = load_weights(path);
  const std::string sha256 = sha256_of_file(path);
  return {{"name", path.stem().string()},
          {"file", path.string()},
          {"file_bytes", std::filesystem::file_size(path)},
          {"sha256", sha256},
          {"width", weights.config.image.width},
          {"height", weights.config.image.height},
          {"parameters", weights.parameters.size},
          {"evaluation", evaluation(path, sha256)}};
}

void print_table(const Json& models) {
  size_t width = std::string_view("name").size();
  for (const Json& model : models)
    width = std::max(width, model["name"].get_ref<const std::string&>().size());
  put("{:<{}}  {:>7}  {:>10}  {:>8}  bits/dim\n", "name", width, "pixels", "parameters", "size");
  for (const Json& model : models) {
    const Json& measured = model["evaluation"];
    put("{:<{}}  {:>7}  {:>8.1f} M  {:>5.1f} MB  {}\n", printable(model["name"].get<std::string>()),
        width, fmt::format("{}x{}", model["width"].get<int>(), model["height"].get<int>()),
        model["parameters"].get<double>() / 1e6, model["file_bytes"].get<double>() / 1e6,
        measured.is_null()
            ? "not measured"
            : fmt::format("{:.3f} on {} images", measured["bits_per_dim"].get<double>(),
                          measured["images"].get<int64_t>()));
  }
}

}  // namespace

Action models_command(CLI::App& command) {
  const auto json = std::make_shared<bool>(false);
  command.add_flag("--json", *json, "Print JSON");
  return [json] {
    Json models = Json::array();
    for (const std::filesystem::path& path : shipped_models()) models.push_back(json_of(path));
    if (*json)
      print_json(models);
    else
      print_table(models);
  };
}

}  // namespace combiner

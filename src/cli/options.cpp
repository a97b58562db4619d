#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "error.h"
#include "matmul/matmul.h"
#include "tensor/thread_team.h"

namespace combiner {
namespace {

constexpr int kMostThreads = 1024;

Precision parse_precision(const std::string& name) {
  if (name == "f32") return Precision::f32;
  if (name == "bf16") return Precision::bf16;
  return has_native_bf16() ? Precision::bf16 : Precision::f32;
}

}  // namespace

CLI::Validator at_least_one() {
  const auto complaint = [](const std::string& text) {
    int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    const bool good = error == std::errc() && stop == end && number >= 1;
    return good ? std::string() : fmt::format("{} is not a whole number of 1 or more", text);
  };
  return CLI::Validator(complaint, "", "at least one");
}

uint64_t parse_seed(const std::string& text) {
  uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seed);
  if (error != std::errc() || stop != end)
    throw CLI::ValidationError(
        "--seed", fmt::format("{} is not a whole number from 0 to {}", text, UINT64_MAX));
  return seed;
}

void add_model_option(CLI::App& command, std::string& model) {
  command
      .add_option("--model", model, "Weights file (.safetensors); without it, the shipped model")
      ->type_name("FILE");
}

void add_precision_option(CLI::App& command, Precision& precision) {
  precision = parse_precision("auto");
  command
      .add_option_function<std::string>(
          "--precision", [&](const std::string& name) { precision = parse_precision(name); },
          "What matrix products are made with; auto is bf16 where the processor has it")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->default_str("auto");
}

void add_threads_option(CLI::App& command, int& threads) {
  threads = std::min(available_threads(), kMostThreads);
  command.add_option("--threads", threads, "Threads to compute with")
      ->check(CLI::Range(1, kMostThreads))
      ->capture_default_str();
}

std::filesystem::path scratch_folder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

std::filesystem::path find_model(const std::string& model) {
  namespace fs = std::filesystem;
  if (!model.empty()) return model;
  const fs::path folder = fs::canonical("/proc/self/exe").parent_path();
  const std::array places = {
      (folder / "../../models/cifar10.safetensors").lexically_normal(),              // source tree
      (folder / "../share/combiner/models/cifar10.safetensors").lexically_normal(),  // installed
  };
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (fs::exists(place, ignored)) return place;
  }
  throw Error(fmt::format("there is no shipped model: neither {} nor {}; name one with --model",
                          places[0].string(), places[1].string()));
}

}  // namespace combiner

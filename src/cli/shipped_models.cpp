#include "cli/shipped_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "base/printable.h"
#include "cli/nearest_name.h"
#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEnding = ".safetensors";
constexpr const char* kDefault = "cifar10";

// Installed, and in the source tree. An installed program's ../../models may be another program's,
// so it comes second.
std::array<fs::path, 2> places() {
  const fs::path program = fs::canonical("/proc/self/exe").parent_path();
  return {(program / "../share/combiner/models").lexically_normal(),
          (program / "../../models").lexically_normal()};
}

}  // namespace

std::vector<fs::path> shipped_models() {
  std::vector<fs::path> files;
  for (const fs::path& folder : places()) {
    std::error_code none;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, none))
      if (entry.path().extension() == kEnding) files.push_back(entry.path());
    if (!files.empty()) break;
  }
  std::ranges::sort(files);
  return files;
}

fs::path find_model(const std::string& model) {
  std::error_code ignored;  // opening a file that can't be examined fails with a message
  const bool may_be_name = fs::path(model).filename() == model && !model.ends_with(kEnding);
  const bool is_file = fs::exists(model, ignored) && !fs::is_directory(model, ignored);
  if (!model.empty() && (!may_be_name || is_file)) return model;
  std::vector<std::string> names;
  for (const fs::path& file : shipped_models()) {
    names.push_back(file.stem().string());
    if (names.back() == (model.empty() ? kDefault : model)) return file;
  }
  if (model.empty())
    throw Error(
        fmt::format("there is no shipped model: neither {1}/{0} nor {2}/{0}; name one with --model",
                    std::string(kDefault) + kEnding, places()[0].string(), places()[1].string()));
  throw Error(fmt::format(
      "{}: {} no shipped model of this name{}; combiner models lists those that "
      "there are",
      printable(model),
      fs::is_directory(model, ignored) ? "is a folder, and there is" : "there is no such file and",
      did_you_mean(model, names)));
}

}  // namespace combiner

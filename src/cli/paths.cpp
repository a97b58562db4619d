#include "cli/paths.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <system_error>

#include "base/lies_in.h"
#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

bool ends_in_png(const std::string& path) { return CLI::detail::to_lower(path).ends_with(".png"); }

bool make_folder(const fs::path& folder) {
  std::error_code error;
  const bool is_new = fs::create_directories(folder, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", folder.string(), error.message()));
  return is_new;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error)
    throw Error(fmt::format("{}: can't list the folder: {}", folder.string(), error.message()));
  return names;
}

std::string last_name(const fs::path& path) {
  std::error_code ignored;  // without a current folder there is no better name
  const fs::path folder = (fs::absolute(path, ignored) / "").lexically_normal();
  return folder.parent_path().filename().string();
}

void check_no_input(const char* option, const std::string& output, const std::string& input) {
  if (output.empty() || !lies_in(output, input)) return;
  throw CLI::ValidationError(option,
                             fmt::format("{} is {}{}, which is read; write elsewhere", output,
                                         fs::is_directory(input) ? "in " : "", input));
}

}  // namespace combiner

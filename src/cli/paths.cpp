#include "cli/paths.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <system_error>

namespace combiner {
namespace fs = std::filesystem;

bool lies_in(const fs::path& path, const fs::path& folder) {
  std::error_code ignored;  // what can't be examined can't be used, which fails with a message
  const fs::path inner = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  for (fs::path outer = inner;; outer = outer.parent_path()) {
    if (fs::equivalent(outer, folder, ignored)) return true;
    if (outer == outer.parent_path()) return false;
  }
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

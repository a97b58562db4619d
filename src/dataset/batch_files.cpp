#include "dataset/batch_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "base/parse_number.h"
#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

// The number in a file name of the form <prefix><number><extension>; nullopt for other names.
std::optional<int> number_of(const fs::path& path, std::string_view prefix,
                             std::string_view extension) {
  // Check the extension first because this is cheap and a folder may hold a million pictures.
  if (!path.native().ends_with(extension)) return std::nullopt;
  const std::string stem = path.stem().string();
  if (path.extension() != extension || !stem.starts_with(prefix)) return std::nullopt;
  const std::optional<int> number = parse_number<int>(std::string_view(stem).substr(prefix.size()));
  return number && *number >= 0 ? number : std::nullopt;
}

}  // namespace

std::vector<fs::path> numbered_files(const fs::path& folder, std::string_view prefix,
                                     std::string_view extension) {
  std::vector<std::pair<int, fs::path>> numbered;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (const auto number = number_of(entry.path(), prefix, extension))
        numbered.emplace_back(*number, entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(
        fmt::format("{}: can't list the folder: {}", folder.string(), error.code().message()));
  }
  std::ranges::sort(numbered);
  std::vector<fs::path> paths;
  for (auto& [number, path] : numbered) paths.push_back(std::move(path));
  return paths;
}

std::vector<std::string> missing_files(const std::vector<fs::path>& files, std::string_view prefix,
                                       std::string_view extension, int expected) {
  std::vector<std::string> missing;
  int64_t next = 1;
  const auto skip_to = [&](int64_t number) {
    for (; next < number && missing.size() < kMostMissing; ++next)
      missing.push_back(fmt::format("{}{}{}", prefix, next, extension));
    next = number + 1;
  };
  for (const fs::path& file : files) skip_to(number_of(file, prefix, extension).value_or(0));
  if (next <= expected) skip_to(int64_t{expected} + 1);
  return missing;
}

}  // namespace combiner

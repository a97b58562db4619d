#include "cli/unpacked_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "cli/paths.h"
#include "combiner/error.h"

namespace combiner {

std::vector<std::string> unpacked_names(std::span<const CodedPicture> pictures) {
  std::vector<std::string> names;
  std::unordered_set<std::string> known;
  for (const CodedPicture& picture : pictures) {
    std::string name = picture.name.empty() ? fmt::format("{:05}.png", names.size()) : picture.name;
    if (!ends_in_png(name)) name += ".png";
    if (!known.insert(name).second)
      throw Error(fmt::format("two pictures would be unpacked as {}; rename one", name));
    names.push_back(std::move(name));
  }
  // With the slash before all other characters, what is in a folder follows its name.
  std::vector<std::string_view> sorted(names.begin(), names.end());
  std::ranges::sort(sorted, [](std::string_view a, std::string_view b) {
    const auto rank = [](char c) { return c == '/' ? 0 : 1 + static_cast<unsigned char>(c); };
    return std::ranges::lexicographical_compare(a, b, {}, rank, rank);
  });
  for (size_t i = 1; i < sorted.size(); ++i)
    if (const std::string_view file = sorted[i - 1], next = sorted[i];
        next.starts_with(file) && next[file.size()] == '/')
      throw Error(fmt::format("{} would be unpacked as a file and as a folder, for {}; rename one",
                              file, next));
  return names;
}

}  // namespace combiner

#include "cli/unpacked_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "cli/paths.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr size_t kLongestName = 255;  // of a file or folder on most file systems

size_t longest_part(const std::string& name) {
  size_t longest = 0;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

}  // namespace

std::vector<std::string> unpacked_names(std::span<const CodedPicture> pictures) {
  std::vector<std::string> names;
  std::unordered_set<std::string> known;
  for (const CodedPicture& picture : pictures) {
    std::string name = picture.name.empty() ? fmt::format("{:05}.png", names.size()) : picture.name;
    if (!ends_in_png(name)) name += ".png";
    if (longest_part(name) > kLongestName)
      throw Error(
          fmt::format("{} is too long for a file's name; expected at most {} bytes with "
                      ".png; rename it",
                      name, kLongestName));
    if (!known.insert(name).second)
      throw Error(fmt::format("two pictures would be unpacked as {}; rename one", name));
    names.push_back(std::move(name));
  }
  for (const std::string& name : names)
    for (size_t slash = name.find('/'); slash != std::string::npos;
         slash = name.find('/', slash + 1))
      if (known.contains(name.substr(0, slash)))
        throw Error(
            fmt::format("{} would be unpacked as a file and as a folder, for {}; rename one",
                        name.substr(0, slash), name));
  return names;
}

}  // namespace combiner

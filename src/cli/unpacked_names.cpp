#include "cli/unpacked_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
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

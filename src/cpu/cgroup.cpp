#include "cpu/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse_number.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

// The words of a small file; none if it can't be read.
std::vector<std::string> words_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> words;
  for (std::string word; file >> word;) words.push_back(std::move(word));
  return words;
}

// A whole number of 1 or more. "max" and -1 are no limit.
std::optional<int64_t> positive(const std::string& text) {
  const std::optional<int64_t> number = parse_number<int64_t>(text);
  return number && *number > 0 ? number : std::nullopt;
}

std::optional<int64_t> number_in(const fs::path& path) {
  const std::vector<std::string> words = words_of(path);
  return words.empty() ? std::nullopt : positive(words.front());
}

template <class T>
void lower(std::optional<T>& limit, T other) {
  limit = limit ? std::min(*limit, other) : other;
}

void lower_processors(CgroupLimits& limits, std::optional<int64_t> quota,
                      std::optional<int64_t> period) {
  if (quota && period)
    lower(limits.processors, static_cast<double>(*quota) / static_cast<double>(*period));
}

void add_limits(const fs::path& folder, CgroupLimits& limits) {
  // Version 2.
  const std::vector<std::string> max = words_of(folder / "cpu.max");
  if (max.size() == 2) lower_processors(limits, positive(max[0]), positive(max[1]));
  // Version 1.
  lower_processors(limits, number_in(folder / "cpu.cfs_quota_us"),
                   number_in(folder / "cpu.cfs_period_us"));
  for (const char* name : {"memory.max", "memory.limit_in_bytes"})
    if (const std::optional<int64_t> bytes = number_in(folder / name)) lower(limits.memory, *bytes);
}

// The limits of a group and of those that it is in. Inside a container the path may be the host's;
// the container's own group is then what lies at the mount's root.
void add_all_limits(const fs::path& mount, const std::string& group, CgroupLimits& limits) {
  for (fs::path path = fs::path(group).relative_path();; path = path.parent_path()) {
    add_limits(mount / path, limits);
    if (path.empty()) break;
  }
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  std::ifstream groups(root / "proc/self/cgroup");
  // Lines ID:CONTROLLERS:/PATH; version 2 has no controllers.
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string id, controllers, group;
    if (!std::getline(fields, id, ':') || !std::getline(fields, controllers, ':') ||
        !std::getline(fields, group))
      continue;
    const fs::path mounts = root / "sys/fs/cgroup";
    add_all_limits(mounts / controllers, group, limits);
    // The folder of several controllers may name them in another order, but each has a link to it.
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');)
      if (name != controllers) add_all_limits(mounts / name, group, limits);
  }
  return limits;
}

}  // namespace combiner

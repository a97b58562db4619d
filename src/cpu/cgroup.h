// What a container or service manager lets a process use of the machine: Linux control groups.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace combiner {

// None where there is no limit.
struct CgroupLimits {
  std::optional<double> processors;  // of processor time, in processors: quota / period
  std::optional<int64_t> memory;     // bytes
};

// The limits of this process's groups, version 1 or 2, and of the groups that they are in. What
// can't be read is no limit. `root` is the file system's.
CgroupLimits read_cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace combiner

#include "cpu/cgroup.h"

#include <filesystem>
#include <fstream>

#include "catch.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// A file system with some files of /proc and /sys.
class Root {
 public:
  Root& with(const std::string& path, const std::string& text) {
    const fs::path file = folder_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return *this;
  }
  CgroupLimits limits() const { return read_cgroup_limits(folder_ / ""); }

 private:
  TempFolder folder_;
};

}  // namespace

TEST_CASE("cgroup: without limits, or without groups, there are none") {
  CHECK_FALSE(Root().limits().processors);
  CHECK_FALSE(Root().limits().memory);
  Root root;
  root.with("proc/self/cgroup", "0::/user.slice\n")
      .with("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n")
      .with("sys/fs/cgroup/user.slice/memory.max", "max\n");
  CHECK_FALSE(root.limits().processors);
  CHECK_FALSE(root.limits().memory);
}

TEST_CASE("cgroup: version 2, the lowest limit of a group and those it is in") {
  Root root;
  root.with("proc/self/cgroup", "0::/a/b\n")
      .with("sys/fs/cgroup/a/b/cpu.max", "350000 100000\n")
      .with("sys/fs/cgroup/a/cpu.max", "150000 100000\n")
      .with("sys/fs/cgroup/a/b/memory.max", "1000000\n")
      .with("sys/fs/cgroup/a/memory.max", "2000000\n");
  CHECK(root.limits().processors == 1.5);
  CHECK(root.limits().memory == 1000000);
}

TEST_CASE("cgroup: version 1, each controller with its own group") {
  Root root;
  root.with("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/c\n1:name=systemd:/x\nnonsense\n")
      .with("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "200000\n")
      .with("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n")
      .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
      .with("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
      .with("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "123456789\n")
      .with("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(root.limits().processors == 2.0);
  CHECK(root.limits().memory == 123456789);
}

TEST_CASE("cgroup: version 1, controllers that the folder names in another order") {
  Root root;
  root.with("proc/self/cgroup", "4:cpuacct,cpu:/c\n")
      .with("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "300000\n")
      .with("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
  CHECK(root.limits().processors == 3.0);
}

TEST_CASE("cgroup: in a container that sees its own group as the root") {
  Root root;
  root.with("proc/self/cgroup", "0::/docker/0123\n")
      .with("sys/fs/cgroup/cpu.max", "50000 100000\n");
  CHECK(root.limits().processors == 0.5);
}

TEST_CASE("cgroup: what can't be understood is no limit") {
  Root root;
  root.with("proc/self/cgroup", "0::/\n")
      .with("sys/fs/cgroup/cpu.max", "many 100000\n")
      .with("sys/fs/cgroup/memory.max", "12x\n");
  CHECK_FALSE(root.limits().processors);
  CHECK_FALSE(root.limits().memory);
}

}  // namespace combiner

#include "base/lies_in.h"

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

}  // namespace combiner

#include "cli/checking.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/interrupt.h"
#include "cli/progress.h"

namespace combiner {

CheckingFile show_checking(const std::atomic<bool>& interrupted) {
  struct Shown {
    std::filesystem::path file;
    Progress progress{"MB"};
  };
  return [&interrupted, shown = std::shared_ptr<Shown>()](const std::filesystem::path& file,
                                                          int64_t bytes, int64_t total) mutable {
    if (interrupted)
      throw Interrupted(fmt::format("interrupted while {} was checked", file.string()));
    if (!shown || shown->file != file) shown.reset(new Shown{file});
    shown->progress.update(bytes / 1'000'000,
                           static_cast<double>(bytes) / static_cast<double>(total),
                           fmt::format("checking {}", file.filename().string()));
  };
}

}  // namespace combiner

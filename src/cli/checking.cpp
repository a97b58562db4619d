#include "cli/checking.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/interrupt.h"
#include "cli/paths.h"
#include "cli/progress.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// The progress of whatever is checked. `size` is what one unit counts.
class Shown {
 public:
  Shown(const std::atomic<bool>& interrupted, std::string unit, int64_t size)
      : interrupted_(interrupted), unit_(std::move(unit)), size_(size) {}

  void update(const fs::path& path, int64_t done, int64_t total) {
    if (interrupted_)
      throw Interrupted(fmt::format("interrupted while {} was checked", path.string()));
    if (!progress_ || path_ != path) {
      path_ = path;
      figure_ = fmt::format("checking {}", last_name(path));
      progress_ = std::make_unique<Progress>(unit_);
    }
    progress_->update(done / size_, static_cast<double>(done) / static_cast<double>(total),
                      figure_);
    if (done == total) progress_->clear();  // something may be said next
  }

 private:
  const std::atomic<bool>& interrupted_;
  std::string unit_;
  int64_t size_;
  fs::path path_;
  std::string figure_;
  std::unique_ptr<Progress> progress_;
};

std::function<void(const fs::path&, int64_t, int64_t)> show(const std::atomic<bool>& interrupted,
                                                            const char* unit, int64_t size) {
  return
      [shown = std::make_shared<Shown>(interrupted, unit, size)](
          const fs::path& path, int64_t done, int64_t total) { shown->update(path, done, total); };
}

}  // namespace

CheckingFile show_checking(const std::atomic<bool>& interrupted) {
  return show(interrupted, "MB", 1'000'000);
}

CheckingPictures show_checking_pictures(const std::atomic<bool>& interrupted) {
  return show(interrupted, "pictures", 1);
}

}  // namespace combiner

#include "cli/measured_images.h"

#include <fmt/format.h>

#include "base/plural.h"
#include "cli/interrupt.h"
#include "combiner/error.h"

namespace combiner {

MeasuredImages::MeasuredImages(int64_t wanted, bool skip_bad, SkippedImages& skipped,
                               Progress& progress, const std::atomic<bool>& interrupted)
    : wanted_(wanted),
      skip_bad_(skip_bad),
      skipped_(skipped),
      progress_(progress),
      interrupted_(interrupted) {}

OnBadImage MeasuredImages::on_bad() {
  return [this](const std::string& why) {
    progress_.clear();
    if (skip_bad_) {
      ++left_out_;
      skipped_.add(why);
    } else if (failure_.empty()) {
      failure_ = why;
      failed_ = true;
    }
  };
}

Cancel MeasuredImages::cancel() const {
  return Cancel([this] { return interrupted_ || failed_; });
}

void MeasuredImages::require_any(int64_t done) const {
  if (left_out_ > 0) skipped_.say_count();
  if (done > 0) return;
  if (!failure_.empty()) throw Error(failure_);
  // Another rank may have been interrupted.
  if (interrupted_ || left_out_ < wanted_) throw Interrupted("interrupted: no image is finished");
  throw Error("none of the images can be read any more");
}

void MeasuredImages::require_all(int64_t done) const {
  const std::string part = fmt::format("{} of {}", done, plural(wanted_, "image"));
  if (!failure_.empty())
    throw Error(fmt::format("{}\nThe figures are those of {}", failure_, part));
  if (done + left_out_ < wanted_)
    throw Interrupted(fmt::format("interrupted: the figures are those of {}", part));
}

}  // namespace combiner

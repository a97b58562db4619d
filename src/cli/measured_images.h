// What becomes of images that can't be read any more while a command measures a data set.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "cli/progress.h"
#include "cli/skipped_images.h"
#include "combiner/cancel.h"
#include "combiner/dataset.h"

namespace combiner {

// With --skip-bad such images are left out. Without it the first ends the measurement, but not
// before what was measured has been printed.
class MeasuredImages {
 public:
  // `wanted` images are to be measured. The others must outlive the object.
  MeasuredImages(int64_t wanted, bool skip_bad, SkippedImages& skipped, Progress& progress,
                 const std::atomic<bool>& interrupted);

  // For the options of the measurement; this object must outlive it.
  OnBadImage on_bad();

  // For the same options: ends the measurement at the first such image, or if interrupted. Images
  // under way are dropped.
  Cancel cancel() const;

  // To be called before the figures of `done` images are printed. Says how many were left out.
  // Throws Error or Interrupted if there are no figures.
  void require_any(int64_t done) const;

  // To be called when they are printed. Throws Error or Interrupted if they are not those of all.
  void require_all(int64_t done) const;

 private:
  int64_t wanted_;
  bool skip_bad_;
  SkippedImages& skipped_;
  Progress& progress_;
  const std::atomic<bool>& interrupted_;
  int64_t left_out_ = 0;
  std::string failure_;               // of the first image that is not left out
  std::atomic<bool> failed_ = false;  // once failure_ is there
};

}  // namespace combiner

// The CSV log of a training run.
#pragma once

#include <filesystem>
#include <fstream>

#include "training/run.h"

namespace combiner {

class TrainingLog {
 public:
  // Opens `path` for the rows after step `last_step`: keeps the rows up to it, drops later ones,
  // begins a new file if there is none or last_step is 0. Throws Error if it can't be written or is
  // not such a log.
  TrainingLog(const std::filesystem::path& path, int64_t last_step);

  void write(const RunReport& report);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace combiner

// The CSV log of a training run.
#pragma once

#include <filesystem>
#include <fstream>

#include "training/run.h"

namespace combiner {

class TrainingLog {
 public:
  // Opens `path` for the rows after step `last_step`. Keeps its rows up to that step and drops
  // later ones, or begins a new file. Throws Error if the file cannot be read or written or is not
  // a training log.
  TrainingLog(const std::filesystem::path& path, int64_t last_step);

  // Writes the row of a step and flushes it. Throws Error if it cannot be written.
  void write(const RunReport& report);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace combiner

// The CSV log of a training run.
#pragma once

#include <filesystem>
#include <fstream>

#include "training/run.h"

namespace combiner {

class TrainingLog {
 public:
  // Opens `path` for the rows after step `last_step`: keeps the rows up to it and drops later ones.
  // Begins a new file if there is none. Throws Error if it can't be read or written, or is a file
  // that is not such a log.
  TrainingLog(const std::filesystem::path& path, int64_t last_step);

  // A row for a step, in the file when this returns. Throws Error if it can't be written.
  void write(const RunReport& report);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace combiner

// The CSV log of a training run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "base/output_file.h"
#include "training/run.h"

namespace combiner {

class TrainingLog {
 public:
  // Prepares `path` for the rows after step `last_step`. Throws Error if the file cannot be read or
  // written or is not a training log.
  TrainingLog(const std::filesystem::path& path, int64_t last_step);

  // Keeps its rows up to that step and drops later ones, or begins a new file. Throws Error if it
  // cannot be written.
  void begin();

  // Writes the row of a step and flushes it. Throws Error if it cannot be written.
  void write(const RunReport& report);

 private:
  std::filesystem::path path_;
  OutputFile beginning_;
  std::ofstream file_;
};

// Whether there is a training log with rows of steps after this one. Throws Error if there is
// another file.
bool has_rows_after(const std::filesystem::path& log, int64_t step);

}  // namespace combiner

#include "training/log.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "error.h"
#include "output_file.h"

namespace combiner {
namespace {

constexpr const char* kHeader =
    "step,images,seconds,loss,validation,learning_rate,gradient_norm,images_per_second";

// The rows of a log up to a step, with the header.
std::string rows_up_to(const std::filesystem::path& path, int64_t last_step) {
  std::string kept = std::string(kHeader) + "\n";
  if (last_step == 0) return kept;
  std::ifstream file(path);
  if (!file) return kept;
  std::string line;
  if (std::getline(file, line) && line != kHeader)
    throw Error(fmt::format("{}: not a training log: its first line is '{}', expected '{}'",
                            path.string(), line, kHeader));
  while (std::getline(file, line)) {
    int64_t step = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), step);
    if (problem != std::errc() || step > last_step) break;
    kept += line + "\n";
  }
  return kept;
}

}  // namespace

TrainingLog::TrainingLog(const std::filesystem::path& path, int64_t last_step) : path_(path) {
  OutputFile beginning(path);
  beginning.write(rows_up_to(path, last_step));
  beginning.commit();
  file_.open(path, std::ios::app);
  if (!file_) throw Error(fmt::format("{}: can't be opened for appending", path.string()));
}

void TrainingLog::write(const RunReport& report) {
  file_ << fmt::format("{},{},{:.3f},{:.9g},{},{:.6g},{:.6g},{:.4g}\n", report.step.step,
                       report.step.images, report.seconds, report.step.bits_per_dim,
                       report.validation ? fmt::format("{:.5f}", *report.validation) : "",
                       report.step.learning_rate, report.step.gradient_norm,
                       report.images_per_second)
        << std::flush;
  if (!file_) throw Error(fmt::format("{}: can't be written; is the disk full?", path_.string()));
}

}  // namespace combiner

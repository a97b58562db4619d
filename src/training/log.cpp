#include "training/log.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "base/printable.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr const char* kHeader =
    "step,images,seconds,loss,validation,learning_rate,gradient_norm,images_per_second";

std::optional<int64_t> step_of(const std::string& row) {
  int64_t step = 0;
  const char* const row_end = row.data() + row.size();
  const auto [end, problem] = std::from_chars(row.data(), row_end, step);
  if (problem != std::errc() || end == row_end || *end != ',') return std::nullopt;
  return step;
}

// The header of a log and its rows up to a step.
std::string rows_up_to(const std::filesystem::path& path, int64_t last_step) {
  std::string kept = std::string(kHeader) + "\n";
  std::error_code ignored;  // a path that cannot be examined cannot be written either
  if (!std::filesystem::is_regular_file(path, ignored) || open_descriptor(follow_links(path)) >= 0)
    return kept;
  std::ifstream file(path);
  if (!file)
    throw Error(fmt::format("{}: can't read the log there is: {}", path.string(),
                            std::generic_category().message(errno)));
  std::string line;
  if (std::getline(file, line) && line != kHeader)
    throw Error(
        fmt::format("{}: not a training log, so not to be overwritten: its first line is "
                    "'{}', expected '{}'",
                    path.string(), printable(line.substr(0, 100)), kHeader));
  // A truncated last row has no line ending.
  while (std::getline(file, line) && !file.eof()) {
    const std::optional<int64_t> step = step_of(line);
    if (!step || *step > last_step) break;
    kept += line + "\n";
  }
  if (file.bad()) throw Error(fmt::format("{}: can't read the log there is", path.string()));
  return kept;
}

}  // namespace

TrainingLog::TrainingLog(const std::filesystem::path& path, int64_t last_step)
    : path_(path), beginning_(path) {
  beginning_.write(rows_up_to(path, last_step));
}

void TrainingLog::begin() {
  beginning_.commit();
  file_.open(path_, std::ios::app);
  if (!file_) throw Error(fmt::format("{}: can't be opened for appending", path_.string()));
}

bool has_rows_after(const std::filesystem::path& log, int64_t step) {
  return rows_up_to(log, std::numeric_limits<int64_t>::max()).size() > rows_up_to(log, step).size();
}

void TrainingLog::write(const RunReport& report) {
  errno = 0;
  file_ << fmt::format("{},{},{:.3f},{:.9g},{},{:.6g},{:.6g},{:.4g}\n", report.step.step,
                       report.step.images, report.seconds, report.step.bits_per_dim,
                       report.validation ? fmt::format("{:.5f}", *report.validation) : "",
                       report.step.learning_rate, report.step.gradient_norm,
                       report.images_per_second)
        << std::flush;
  if (!file_)
    throw Error(fmt::format(
        "{}: can't write the log: {}", path_.string(),
        errno != 0 ? std::generic_category().message(errno) : "an earlier write failed"));
}

}  // namespace combiner

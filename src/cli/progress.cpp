#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/rate_text.h"
#include "cli/say.h"
#include "cli/terminal.h"

namespace combiner {
namespace {

constexpr auto kShortestInterval = std::chrono::milliseconds(200);
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, 1e9)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

Progress::Progress(std::string unit, Clock::duration log_interval)
    : unit_(std::move(unit)), on_terminal_(on_terminal()), log_interval_(log_interval) {}

std::string Progress::line(Clock::time_point now, int64_t done, double fraction,
                           std::string_view figure) const {
  const bool one = done == 1 && unit_.ends_with('s');
  std::string line =
      fmt::format("{} {}, {:.1f} %", done,
                  std::string_view(unit_).substr(0, unit_.size() - (one ? 1 : 0)), 100 * fraction);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (seconds > 0 && done > start_done_)
    line += fmt::format(", {} {}/s", rate_text(static_cast<double>(done - start_done_) / seconds),
                        unit_);
  if (fraction > start_fraction_)
    line += fmt::format(", {} left",
                        duration_text(seconds * (1 - fraction) / (fraction - start_fraction_)));
  if (!figure.empty()) line += fmt::format(", {}", figure);
  return line;
}

void Progress::update(int64_t done, double fraction, std::string_view figure) {
  const Clock::time_point now = Clock::now();
  if (!started_) {
    started_ = true;
    start_ = shown_ = now;
    start_done_ = done;
    start_fraction_ = fraction;
  }
  if (!on_terminal_) {
    if (now - shown_ < log_interval_) return;
    say("{}\n", line(now, done, fraction, figure));
  } else {
    if (visible_ && now - shown_ < kShortestInterval) return;
    std::string text = line(now, done, fraction, figure);
    // The terminal cannot erase a line that has wrapped.
    text.resize(std::min(text.size(), static_cast<size_t>(terminal_size().columns - 1)));
    say("{}{}", kEraseLine, text);
    visible_ = true;
  }
  shown_ = now;
}

void Progress::clear() {
  if (visible_) say("{}", kEraseLine);
  visible_ = false;
}

}  // namespace combiner

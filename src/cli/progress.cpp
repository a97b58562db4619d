#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/say.h"
#include "cli/terminal.h"

namespace combiner {
namespace {

constexpr auto kShortestInterval = std::chrono::milliseconds(200);
constexpr const char* kEraseLine = "\r\x1b[K";

// "7 s", "3:07 min", "2:03 h"
std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(std::clamp(seconds, 0.0, 1e9)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

}  // namespace

Progress::Progress(std::string unit) : unit_(std::move(unit)), on_terminal_(on_terminal()) {}

void Progress::update(int64_t done, double fraction, std::string_view figure) {
  if (!on_terminal_) return;
  const Clock::time_point now = Clock::now();
  if (!started_) {
    started_ = true;
    start_ = now;
    start_done_ = done;
    start_fraction_ = fraction;
  }
  if (visible_ && now - shown_ < kShortestInterval) return;

  std::string line = fmt::format("{} {}, {:.1f} %", done, unit_, 100 * fraction);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (seconds > 0 && done > start_done_)
    line += fmt::format(", {:.3g} {}/s", static_cast<double>(done - start_done_) / seconds, unit_);
  if (fraction > start_fraction_)
    line += fmt::format(", {} left",
                        duration_text(seconds * (1 - fraction) / (fraction - start_fraction_)));
  if (!figure.empty()) line += fmt::format(", {}", figure);
  // The terminal cannot erase a line that has wrapped.
  line.resize(std::min(line.size(), static_cast<size_t>(terminal_size().columns - 1)));
  say("{}{}", kEraseLine, line);
  visible_ = true;
  shown_ = now;
}

void Progress::clear() {
  if (visible_) say("{}", kEraseLine);
  visible_ = false;
}

}  // namespace combiner

#include "image/check_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "combiner/image.h"

namespace combiner {
namespace {

std::atomic<int64_t> limit = kMaxImageBytes / 3;

}  // namespace

bool size_fits(double width, double height) { return 3 * width * height <= kMaxImageBytes; }

int64_t most_pixels() { return limit; }

void limit_pixels(int64_t most) { limit = most; }

void check_size(int64_t width, int64_t height, std::string_view where) {
  // Without a row, the width alone counts.
  const auto rows = static_cast<double>(std::max<int64_t>(height, 1));
  if (static_cast<double>(width) * rows <= static_cast<double>(most_pixels())) return;
  throw TooLarge(fmt::format("{}: is too large: {}x{} pixels; expected at most {} in all", where,
                             width, height, most_pixels()));
}

}  // namespace combiner

#include "image/check_size.h"

#include <fmt/format.h>

#include <algorithm>

#include "combiner/error.h"
#include "combiner/image.h"

namespace combiner {

bool size_fits(double width, double height) { return 3 * width * height <= kMaxImageBytes; }

void check_size(int64_t width, int64_t height, std::string_view where) {
  // Without a row, the width alone counts.
  const auto rows = static_cast<double>(std::max<int64_t>(height, 1));
  if (size_fits(static_cast<double>(width), rows)) return;
  throw Error(fmt::format("{}: is too large: {}x{} pixels; expected at most {} in all", where,
                          width, height, kMaxImageBytes / 3));
}

}  // namespace combiner

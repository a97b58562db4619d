#include "image/check_size.h"

#include <fmt/format.h>

#include "combiner/error.h"
#include "combiner/image.h"

namespace combiner {

void check_size(int64_t width, int64_t height, std::string_view where) {
  constexpr int64_t kMost = kMaxImageBytes / 3;
  if (width <= kMost && (height == 0 || width <= kMost / height)) return;
  throw Error(fmt::format("{}: is too large: {}x{} pixels; expected at most {} in all", where,
                          width, height, kMost));
}

}  // namespace combiner

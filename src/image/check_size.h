// The limit on the size of pictures.
#pragma once

#include <cstdint>
#include <string_view>

namespace combiner {

// Whether a picture of this size has at most kMaxImageBytes. Doubles can't overflow.
bool size_fits(double width, double height);

// Throws Error, with a message that starts with `where`, if a picture of this size does not fit.
void check_size(int64_t width, int64_t height, std::string_view where);

}  // namespace combiner

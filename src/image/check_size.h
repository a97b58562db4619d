// The limit on the size of pictures.
#pragma once

#include <cstdint>
#include <string_view>

namespace combiner {

// Throws Error, with a message that starts with `where`, if a picture of this size would have more
// than kMaxImageBytes.
void check_size(int64_t width, int64_t height, std::string_view where);

}  // namespace combiner

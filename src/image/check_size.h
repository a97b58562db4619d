// The limit on the size of pictures.
#pragma once

#include <cstdint>
#include <string_view>

#include "combiner/error.h"

namespace combiner {

// Reports that a picture is too large to be read.
class TooLarge : public Error {
 public:
  using Error::Error;
};

// Whether a picture of this size has at most kMaxImageBytes. Doubles can't overflow.
bool size_fits(double width, double height);

// Pictures with more pixels are not read: by default those with more than kMaxImageBytes.
int64_t most_pixels();
// Lowers that for the whole process, because OpenCV has one limit for all. Call it before the first
// picture is read.
void limit_pixels(int64_t most);

// Throws TooLarge, with a message that starts with `where`, if a picture of this size has more.
void check_size(int64_t width, int64_t height, std::string_view where);

}  // namespace combiner

// Pictures in text.
#pragma once

#include <string>

#include "combiner/image.h"

namespace combiner {

// Shrinks the image, averaging, to about a whole fraction of its size such that it fits into
// `columns` x `lines` characters, and returns it as lines of upper half blocks, two pixels above
// each other in each character, in 24-bit colours. Every line ends with a newline.
std::string half_blocks(const Image& image, int columns, int lines);

}  // namespace combiner

// Text in pictures.
#pragma once

#include <string_view>

#include "combiner/image.h"

namespace combiner {

// The height of a line of text, in pixels.
inline constexpr int kTextLine = 17;

// Text in black on white, in a picture as wide as its widest line. Lines are divided by '\n' and
// centred. Characters that the font lacks, all that are not in ASCII, become question marks.
Image label(std::string_view text);

// A picture with such text above it, centred, and `gap` pixels above the text.
Image with_heading(std::string_view heading, const Image& image, int gap);

}  // namespace combiner

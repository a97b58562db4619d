// Arranges many images on one sheet.
#pragma once

#include <span>
#include <string>

#include "combiner/image.h"

namespace combiner {

// The most that commands magnify pixels.
inline constexpr int kMostScale = 64;

// Whether a sheet without captions, as contact_sheet() makes it of images of this size, is not too
// large to be made.
bool contact_sheet_fits(int width, int height, int rows, int columns, int gap, int scale);

// Lays out images of equal size row by row on a white sheet with rows x columns places, with `gap`
// pixels between and around them. Each pixel is magnified to scale x scale. Unused places stay
// white. With captions, one for each image, a place is wide and high enough for any of them: each
// stands below its image (label()), centred like it. Throws Error if there are no images or more
// than places, if the images' sizes differ, if the sheet is too large, or if rows, columns, gap or
// scale is out of range.
Image contact_sheet(std::span<const Image> images, int rows, int columns, int gap = 2,
                    int scale = 1, std::span<const std::string> captions = {});

}  // namespace combiner

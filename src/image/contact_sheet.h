// Arranges many images on one sheet.
#pragma once

#include <span>

#include "combiner/image.h"

namespace combiner {

// Lays out images of equal size row by row on a white sheet with rows x columns places, with `gap`
// pixels between and around them. Each pixel is magnified to scale x scale. Unused places stay
// white. Throws Error if there are no images or more than places, if the images' sizes differ, if
// the sheet is too large, or if rows, columns, gap or scale is out of range.
Image contact_sheet(std::span<const Image> images, int rows, int columns, int gap = 2,
                    int scale = 1);

}  // namespace combiner

// Many images on one sheet.
#pragma once

#include <span>

#include "combiner/image.h"

namespace combiner {

// Lays images of one size out row by row on a white sheet of rows x columns places, with `gap`
// pixels between and around them, each pixel magnified to scale x scale. Places left over stay
// white. Error if there are no images or more than places, if their sizes differ, or if the sheet
// is too large or its rows, columns, gap or scale make no sense.
Image contact_sheet(std::span<const Image> images, int rows, int columns, int gap = 2,
                    int scale = 1);

}  // namespace combiner

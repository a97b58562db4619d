// Beginning a training with another model's weights, also one of another size.
#pragma once

#include <string>
#include <vector>

#include "model/model.h"

namespace combiner {

// Copies into `to` each tensor of `from` that has the same name and shape. Tables of positions of
// another image size are resampled: along a row or a column linearly, in both directions for
// learned positions, and for each sub-pixel apart where sub-pixels have positions of their own.
// Every other tensor of `to` keeps its values. Returns a line for each tensor that was not copied
// as it is, which says what became of it. Throws Error if no matrix of a block fits.
std::vector<std::string> take_over(const Weights& from, Weights& to);

}  // namespace combiner

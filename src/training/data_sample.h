// A small sample of a data set, by which a checkpoint knows its data again.
#pragma once

#include <string>
#include <string_view>

#include "combiner/dataset.h"

namespace combiner {

// A few pixels of a few images, as hexadecimal text. Reads those images; throws Error if it can't.
std::string data_sample(const Dataset& data);

// Whether two samples of as many images are of the same data: whether most of their images are much
// the same. A picture may have been mended since, and decoders differ by a level or two.
bool alike(std::string_view sample, std::string_view other);

}  // namespace combiner

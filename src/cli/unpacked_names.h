// The names that packed pictures have as files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "codec/coded_file.h"

namespace combiner {

// PNG files for the pictures, in their order: their own names, with .png behind them if they end in
// something else, or 00000.png and so on. Throws Error if two would be the same file, or one a
// folder of another.
std::vector<std::string> unpacked_names(std::span<const CodedPicture> pictures);

}  // namespace combiner

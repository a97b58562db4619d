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

// Throws Error, which ends in `hint`, if no file can have the name.
void check_length(const std::string& name, const std::string& hint);

}  // namespace combiner

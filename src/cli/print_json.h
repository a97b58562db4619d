// Prints JSON.
#pragma once

#include <nlohmann/json.hpp>

namespace combiner {

// Prints it to standard output, indented. Bytes that are not UTF-8, which file names may have, are
// replaced by U+FFFD.
void print_json(const nlohmann::ordered_json& json);

}  // namespace combiner

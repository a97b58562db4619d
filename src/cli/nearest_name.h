// Finds the name that a mistyped word was meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace combiner {

// The fewest insertions, deletions, replacements and swaps of neighbours that make `to` of `from`,
// where nothing is changed twice.
size_t edit_distance(std::string_view from, std::string_view to);

// "; did you mean NAME?" with the nearest of these names, or nothing if none is near. A name that
// begins with `typed` counts as one edit away.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

}  // namespace combiner

// How fast something goes, in three digits or more.
#pragma once

#include <fmt/format.h>

#include <string>

namespace combiner {

// Without the exponent that {:.3g} has from 1000 on.
inline std::string rate_text(double per_second) {
  return per_second < 999.5 ? fmt::format("{:.3g}", per_second) : fmt::format("{:.0f}", per_second);
}

}  // namespace combiner

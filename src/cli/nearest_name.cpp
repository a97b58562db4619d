#include "cli/nearest_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace combiner {

size_t edit_distance(std::string_view from, std::string_view to) {
  // Row i has the distances of the first i letters of `from` to the first 0, 1, ... of `to`.
  std::vector<size_t> before_last, last, row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    before_last = std::move(last);
    last = std::move(row);
    row = {i};
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t replaced = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      size_t least = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
        least = std::min(least, before_last[j - 2] + 1);
      row.push_back(least);
    }
  }
  return row.back();
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names) {
  if (typed.empty()) return {};
  const auto edits = [&](const std::string& name) {
    const size_t distance = edit_distance(typed, name);
    return name.starts_with(typed) ? std::min<size_t>(distance, 1) : distance;
  };
  const auto nearest = std::ranges::min_element(names, {}, edits);
  const size_t most = 1 + typed.size() / 4;
  if (nearest == names.end() || edits(*nearest) > most) return {};
  return fmt::format("; did you mean {}?", *nearest);
}

}  // namespace combiner

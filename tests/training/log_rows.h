// What a training log says.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace combiner {

// Its lines, the header first, but for the columns of time: seconds and images/s. The rest is the
// same whenever the same steps are made. Empty if there is no file.
inline std::vector<std::string> timeless_rows(const std::filesystem::path& log) {
  std::vector<std::string> rows;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    std::string row, cell;
    std::istringstream cells(line);
    for (int column = 0; std::getline(cells, cell, ','); ++column)
      if (column != 2 && column != 7) row += cell + ",";
    rows.push_back(row);
  }
  return rows;
}

}  // namespace combiner

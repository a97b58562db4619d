// Reads a training log.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace combiner {

// The lines of the log, header first, without the columns of time: seconds and images/s. The rest
// is equal whenever the steps are. Empty if there is no file.
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

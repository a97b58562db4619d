// Folders with the test data.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace combiner {

// tests/data/golden; see its README.
inline std::filesystem::path golden_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/golden";
}

// tests/data/attention; see its README.
inline std::filesystem::path attention_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/attention";
}

// tests/data/npz; see its README.
inline std::filesystem::path npz_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/npz";
}

// Data that is too large for the repository: $COMBINER_SHARED or, by default, `shared` beside the
// repository. May be absent.
inline std::filesystem::path shared_folder() {
  const char* variable = std::getenv("COMBINER_SHARED");
  return variable ? std::filesystem::path(variable)
                  : std::filesystem::path(__FILE__).parent_path() / "../../shared";
}

}  // namespace combiner

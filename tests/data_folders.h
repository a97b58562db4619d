// Where tests find files that they did not make.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace combiner {

// tests/data/golden, see its README.
inline std::filesystem::path golden_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/golden";
}

// tests/data/attention, see its README.
inline std::filesystem::path attention_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/attention";
}

// tests/data/npz, see its README.
inline std::filesystem::path npz_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "data/npz";
}

// Data too large for the repository, beside it or where COMBINER_SHARED says; may be absent.
inline std::filesystem::path shared_folder() {
  const char* variable = std::getenv("COMBINER_SHARED");
  return variable ? std::filesystem::path(variable)
                  : std::filesystem::path(__FILE__).parent_path() / "../../shared";
}

}  // namespace combiner

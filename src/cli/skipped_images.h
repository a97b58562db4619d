// What --skip-bad leaves out.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace combiner {

// Counts the images that are left out, and names the first few on standard error.
class SkippedImages {
 public:
  // To be called with why an image is left out. Counts it once.
  void add(const std::string& why);
  // Says how many there are, if there are more than were named.
  void say_count() const;

  int64_t count() const { return static_cast<int64_t>(all_.size()); }
  // The number of them, and the first few.
  nlohmann::ordered_json json() const;

 private:
  std::set<std::string> all_;
  std::vector<std::string> named_;
};

}  // namespace combiner

#include "base/json_reason.h"

#include <string_view>

namespace combiner {

std::string reason(const nlohmann::json::exception& error) {
  std::string_view text = error.what();
  if (const auto code_end = text.find("] "); code_end != text.npos)
    text.remove_prefix(code_end + 2);
  return std::string(text.substr(0, text.find("; last read")));
}

}  // namespace combiner

#include "cli/print_json.h"

#include <fmt/format.h>

#include "cli/program.h"

namespace combiner {

void print_json(const nlohmann::ordered_json& json) {
  constexpr int kIndent = 2;
  constexpr bool kEnsureAscii = false;
  put("{}\n", json.dump(kIndent, ' ', kEnsureAscii, nlohmann::json::error_handler_t::replace));
}

}  // namespace combiner

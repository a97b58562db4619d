// Messages of the JSON library, for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace combiner {

// The library's message without its error code, and without its quotation of the last text it read,
// which may be long.
std::string reason(const nlohmann::json::exception& error);

}  // namespace combiner

// Strict JSON parsing for the files that describe a model.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace combiner {

using Json = nlohmann::json;

// Parses JSON text that consists of one value. Also rejects what JSON itself permits: a key that
// occurs twice in one object, and nesting deeper than any of our files needs. `source` names the
// text in messages. Throws Error.
Json parse_json(std::string_view text, std::string_view source);

// The value as JSON text without line breaks. Bytes that are no UTF-8 are replaced.
template <class AnyJson>  // Json, or nlohmann::ordered_json
std::string on_one_line(const AnyJson& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, AnyJson::error_handler_t::replace);
}

// The value as JSON text for a message: on one line, and truncated if it is long.
std::string shown(const Json& value);

}  // namespace combiner

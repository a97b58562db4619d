// Strict JSON parsing for the files that describe a model.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
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

// The value if it is a whole number from -2^63 to 2^63 - 1. JSON's numbers above that are unsigned,
// and get<int64_t>() would wrap them around.
template <class AnyJson>
std::optional<int64_t> whole_number(const AnyJson& value) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.template get<uint64_t>() > kMost) return std::nullopt;
  return value.template get<int64_t>();
}

// The value as JSON text for a message: on one line, and truncated if it is long.
std::string shown(const Json& value);

}  // namespace combiner

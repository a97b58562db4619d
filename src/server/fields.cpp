#include "server/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "combiner/error.h"
#include "server/base64.h"
#include "server/fault.h"

namespace combiner {
namespace {

constexpr const char* kFile = "the bytes of a file in base64";
constexpr const char* kSeeReference = "/openapi.json describes all fields";

Fault invalid(const std::string& message) {
  return Fault(422, "invalid_field", message, kSeeReference);
}

Fault unexpected(const std::string& where, const Json& value, const std::string& expected) {
  return invalid(fmt::format("{} is {}; expected {}", where, shown(value), expected));
}

}  // namespace

std::vector<uint8_t> bytes_of(const Json& value, const std::string& where) {
  std::optional<std::vector<uint8_t>> bytes;
  if (value.is_string()) bytes = from_base64(value.get_ref<const std::string&>());
  if (!bytes || bytes->empty()) throw unexpected(where, value, kFile);
  return *std::move(bytes);
}

Json parse_body(const std::string& body) {
  try {
    return parse_json(body, "the request");
  } catch (const Error& error) {
    throw Fault(400, "bad_json", error.what(), "send one JSON object");
  }
}

Fields::Fields(const Json& object, std::initializer_list<std::string_view> known, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object())
    throw invalid(fmt::format("{} is {}; expected an object",
                              where_.empty() ? "the request" : where_.substr(0, where_.size() - 1),
                              shown(object)));
  for (const auto& [name, value] : object.items())
    if (std::ranges::find(known, name) == known.end())
      throw invalid(fmt::format("there is no field {}{}; the fields are {}", where_,
                                shown(Json(name)), fmt::join(known, ", ")));
}

const Json* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json& Fields::need(const char* name, const char* expected) const {
  if (const Json* const value = find(name)) return *value;
  throw invalid(fmt::format("{}{} is missing; expected {}", where_, name, expected));
}

void Fields::refuse(const char* name, const Json& value, const std::string& expected) const {
  throw unexpected(where_ + name, value, expected);
}

std::optional<int64_t> Fields::integer(const char* name, int64_t low, int64_t high) const {
  const Json* const value = find(name);
  if (!value) return std::nullopt;
  const std::optional<int64_t> number = whole_number(*value);
  if (!number || *number < low || *number > high)
    refuse(name, *value, fmt::format("a whole number from {} to {}", low, high));
  return number;
}

std::optional<uint64_t> Fields::seed(const char* name) const {
  const Json* const value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number_unsigned()) refuse(name, *value, "a whole number from 0 to 2^64 - 1");
  return value->get<uint64_t>();
}

std::optional<double> Fields::number(const char* name) const {
  const Json* const value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) refuse(name, *value, "a number");
  return value->get<double>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* const value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse(name, *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Fields::text(const char* name) const {
  const Json* const value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) refuse(name, *value, "a string");
  return value->get<std::string>();
}

std::optional<Precision> Fields::precision(const char* name) const {
  const std::optional<std::string> word = text(name);
  if (!word || *word == "auto") return std::nullopt;
  const std::optional<Precision> precision = precision_named(*word);
  if (!precision) refuse(name, *word, "auto, f32, bf16 or int8");
  return precision;
}

std::vector<uint8_t> Fields::bytes(const char* name) const {
  return bytes_of(need(name, kFile), where_ + name);
}

const Json& Fields::list(const char* name, int64_t most) const {
  const Json& value = need(name, "a list");
  if (!value.is_array() || value.empty())
    refuse(name, value, fmt::format("a list of 1 to {}", most));
  if (std::cmp_greater(value.size(), most))
    throw Fault(
        413, "too_large",
        fmt::format("{}{} has {} items; expected 1 to {}", where_, name, value.size(), most),
        "divide them among several requests");
  return value;
}

}  // namespace combiner

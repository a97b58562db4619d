// The JSON object of a request.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "combiner/precision.h"

namespace combiner {

// Reads fields by their names. All complaints are Faults that name the field, what was found and
// what is expected.
class Fields {
 public:
  // `where` is put before names in messages: "pictures[0]."; `known` are the fields that may be
  // there. Throws Fault 422 if the value is no object or has another field.
  Fields(const Json& object, std::initializer_list<std::string_view> known, std::string where = {});

  // nullopt if the field is absent.
  std::optional<int64_t> integer(const char* name, int64_t low, int64_t high) const;
  std::optional<uint64_t> seed(const char* name) const;
  std::optional<double> number(const char* name) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  std::optional<Precision> precision(const char* name) const;
  // Bytes in base64; must be there.
  std::vector<uint8_t> bytes(const char* name) const;
  // 1 to `most` values; must be there.
  const Json& list(const char* name, int64_t most) const;

 private:
  const Json* find(const char* name) const;
  const Json& need(const char* name, const char* expected) const;
  [[noreturn]] void refuse(const char* name, const Json& value, const std::string& expected) const;

  const Json& object_;
  const std::string where_;
};

// Bytes in base64. `where` names the value in messages. Throws Fault 422 if it is anything else.
std::vector<uint8_t> bytes_of(const Json& value, const std::string& where);

// Throws Fault 400 unless the text is JSON.
Json parse_body(const std::string& body);

}  // namespace combiner

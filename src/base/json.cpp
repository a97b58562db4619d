#include "base/json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/json_reason.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr int kMaxDepth = 16;

// Rejects, during parsing, what the library accepts but parse_json does not.
class Strictness {
 public:
  explicit Strictness(std::string_view source) : source_(source) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    switch (event) {
      case Json::parse_event_t::object_start:
        check_depth(depth);
        open_objects_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        open_objects_.pop_back();
        break;
      case Json::parse_event_t::array_start:
        check_depth(depth);
        break;
      case Json::parse_event_t::key:
        add_key(value);
        break;
      default:
        break;
    }
    return true;
  }

 private:
  struct OpenObject {
    std::set<std::string> keys;
    Json last_key;
  };

  void check_depth(int depth) const {
    if (depth >= kMaxDepth) {
      throw Error(fmt::format("{} is nested deeper than {} levels", source_, kMaxDepth));
    }
  }

  void add_key(const Json& key) {
    OpenObject& object = open_objects_.back();
    if (!object.keys.insert(key.get<std::string>()).second) {
      const size_t depth = open_objects_.size();
      const std::string where =
          depth < 2 ? "" : fmt::format(" in {}", shown(open_objects_[depth - 2].last_key));
      throw Error(fmt::format("{}: duplicate key {}{}", source_, shown(key), where));
    }
    object.last_key = key;
  }

  std::string_view source_;
  std::vector<OpenObject> open_objects_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  // The library takes a zero byte for the end of the text.
  if (const auto zero = text.find('\0'); zero != text.npos) {
    throw Error(fmt::format("{} is not valid JSON: zero byte at byte {}", source, zero));
  }
  try {
    return Json::parse(text.begin(), text.end(), Strictness(source));
  } catch (const Json::exception& error) {
    throw Error(fmt::format("{} is not valid JSON: {}", source, reason(error)));
  }
}

std::string shown(const Json& value) {
  constexpr size_t kLongest = 80;
  std::string text = on_one_line(value);
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // whole code points
  return text.substr(0, end) + "...";
}

}  // namespace combiner

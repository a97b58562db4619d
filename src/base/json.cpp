#include "base/json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/json_reason.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr int kMaxDepth = 16;

// Rejects what the library accepts but parse_json does not. Sees the text's events one by one: a
// callback of the parser that builds the value would make it look again at every element of an
// array for each object in it.
class Strictness : public nlohmann::json_sax<Json> {
 public:
  explicit Strictness(std::string_view source) : source_(source) {}

  bool start_object(size_t) override {
    enter();
    open_objects_.emplace_back();
    return true;
  }
  bool end_object() override {
    --depth_;
    open_objects_.pop_back();
    return true;
  }
  bool start_array(size_t) override {
    enter();
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& key) override {
    OpenObject& object = open_objects_.back();
    if (!object.keys.insert(key).second) {
      const size_t depth = open_objects_.size();
      const std::string where =
          depth < 2 ? "" : fmt::format(" in {}", shown(Json(open_objects_[depth - 2].last_key)));
      throw Error(fmt::format("{}: duplicate key {}{}", source_, shown(Json(key)), where));
    }
    object.last_key = key;
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  // Ends this pass; the one that builds the value says what is wrong.
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  struct OpenObject {
    std::set<std::string> keys;
    std::string last_key;
  };

  void enter() {
    if (depth_++ >= kMaxDepth)
      throw Error(fmt::format("{} is nested deeper than {} levels", source_, kMaxDepth));
  }

  std::string_view source_;
  int depth_ = 0;  // objects and arrays that are open
  std::vector<OpenObject> open_objects_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  // The library takes a zero byte for the end of the text.
  if (const auto zero = text.find('\0'); zero != text.npos) {
    throw Error(fmt::format("{} is not valid JSON: zero byte at byte {}", source, zero));
  }
  try {
    Strictness strictness(source);
    Json::sax_parse(text.begin(), text.end(), &strictness);
    return Json::parse(text.begin(), text.end());
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

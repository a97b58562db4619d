// A request's line and headers, checked before the HTTP library sees them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace combiner {

struct RequestHead {
  std::string method = {};
  std::string target = {};
  bool keeps_alive = true;
  size_t body = 0;  // bytes
  // The headers that the server uses, by their names in lower case, each at most once.
  std::vector<std::pair<std::string, std::string>> headers = {};

  // Empty if there is none.
  std::string_view header(std::string_view name) const;
  // The head again, of nothing but the above.
  std::string text() const;
};

// Reads the text up to and with the empty line. Headers that the server does not use are left out,
// so the library never acts on them: neither on ranges, which old versions match with regular
// expressions, nor on encodings, whose size when unpacked nobody limits. Throws Fault for anything
// that HTTP/1.1 or a limit does not allow.
RequestHead parse_head(std::string_view text);

}  // namespace combiner

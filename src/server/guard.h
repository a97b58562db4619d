// Who may use the server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/head.h"

namespace combiner {

// Whether nobody but this machine can reach the address.
bool is_loopback(const std::string& host);

// A page of another site can have a browser send requests to this server, under its own name if
// that name's address is changed to this machine's (DNS rebinding). The browser then says so in
// Host or Origin.
class Guard {
 public:
  // The server listens at `host`. If `key` is not empty, requests must carry it.
  Guard(const std::string& host, std::string key);

  // Throws Fault 403 if the request is of another site, or 401 without the key. What is `open`
  // needs no key.
  void check(const RequestHead& head, bool open) const;

 private:
  bool knows(std::string_view authority) const;

  std::vector<std::string> names_;
  const std::string key_;
};

}  // namespace combiner

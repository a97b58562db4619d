// What each address does.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "server/fault.h"
#include "server/httplib.h"
#include "server/service.h"

namespace combiner {

struct Route {
  std::string method;
  std::string path;  // as in /openapi.json: "/v1/jobs/{id}"
  httplib::Server::Handler handle;
  bool open = false;  // needs no key
};

// All of them. `service` must outlive the handlers. `followers` counts the clients that
// follow events, up to kMaxFollowers.
std::vector<Route> routes(Service& service, const std::shared_ptr<std::atomic<int>>& followers);

// The path as a regular expression, with a group for each name in braces.
std::string pattern_of(const std::string& path);

// {"error": {...}}
std::string error_json(const Fault& fault);

}  // namespace combiner

#include "server/guard.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "base/lower_case.h"
#include "server/fault.h"

namespace combiner {
namespace {

// The name in "name:port", "[::1]:port" or either without a port.
std::string_view name_in(std::string_view authority) {
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  return authority.substr(0, colon);
}

bool is_address(std::string_view name) {
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  const std::string text(name);
  std::array<uint8_t, sizeof(in6_addr)> address;
  return inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

// Takes as long whatever the two have in common.
bool same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() != secret.size();
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i] ^ secret[i % secret.size()]);
  return difference == 0;
}

}  // namespace

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_address(host));
}

Guard::Guard(const std::string& host, std::string key) : key_(std::move(key)) {
  names_ = {"localhost", "127.0.0.1", "[::1]", host, "[" + host + "]"};
  if (std::array<char, 256> name = {}; gethostname(name.data(), name.size() - 1) == 0)
    names_.emplace_back(name.data());
  for (std::string& name : names_) name = lower_case(name);  // as browsers write them
}

// An address can't be rebound, so where others may connect they may use any.
bool Guard::knows(std::string_view authority) const {
  const std::string_view name = name_in(authority);
  return std::ranges::find(names_, name) != names_.end() || (!key_.empty() && is_address(name));
}

void Guard::check(const RequestHead& head, bool open) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string host = lower_case(head.header("host"));
  if (!knows(host))
    throw Fault(403, "foreign_host", "the header Host does not name this server",
                "use the address that the server printed");
  // With https, a server in front of this one takes the requests, which others may then send.
  const std::string origin = lower_case(head.header("origin"));
  if (!origin.empty() && origin != "http://" + host &&
      (key_.empty() || origin != "https://" + host))
    throw Fault(403, "foreign_origin", "the request comes from a page of another site",
                "use the server's own page, or a program");
  if (key_.empty() || open) return;
  const std::string_view given = head.header("authorization");
  if (!given.starts_with(kBearer) || !same_secret(given.substr(kBearer.size()), key_))
    throw Fault(401, "no_key", "the request has not the right key",
                "send Authorization: Bearer and the key in the server's --api-key-file");
}

}  // namespace combiner

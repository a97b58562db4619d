#include "server/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>

#include "base/lower_case.h"
#include "base/parse_number.h"
#include "server/fault.h"
#include "server/limits.h"

namespace combiner {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::array<std::string_view, 8> kUsed = {
    "host",           "origin",     "authorization", "content-type",
    "content-length", "connection", "expect",        "last-event-id"};

Fault malformed(const std::string& what) {
  return Fault(400, "bad_request", "the request is malformed: " + what, "send HTTP/1.1");
}

bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != kOthers.npos;
  });
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

std::string_view trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the text before the next `end` away, and `end` too.
std::optional<std::string_view> take(std::string_view& text, std::string_view end) {
  const size_t at = text.find(end);
  if (at == text.npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + end.size());
  return taken;
}

void read_request_line(std::string_view line, RequestHead& head) {
  const auto method = take(line, " ");
  const auto target = take(line, " ");
  if (!method || !target) throw malformed("its first line is not METHOD TARGET HTTP/1.1");
  if (line != "HTTP/1.1") throw malformed("its version is not HTTP/1.1");
  if (*method != "GET" && *method != "POST" && *method != "DELETE")
    throw Fault(405, "bad_method", "there is no such method", "use GET, POST or DELETE");
  if (target->size() > kMaxTargetBytes)
    throw Fault(414, "too_large",
                fmt::format("the target has {} bytes; expected at most {}", target->size(),
                            kMaxTargetBytes));
  if (!target->starts_with('/') || !is_printable(*target))
    throw malformed("its target is not a path of printable ASCII");
  head.method = *method;
  head.target = *target;
}

void read_header(std::string_view line, RequestHead& head) {
  const auto name = take(line, ":");
  if (!name || !is_token(*name)) throw malformed("a line is not NAME: VALUE");
  const std::string key = lower_case(*name);
  const std::string_view value = trimmed(line);
  if (key == "transfer-encoding")
    throw Fault(411, "length_required", "the body has no Content-Length",
                "send the body in one piece, with its length");
  if (key == "content-encoding" && lower_case(value) != "identity")
    throw Fault(415, "bad_type", "the body is compressed", "send JSON as it is");
  if (std::ranges::find(kUsed, key) == kUsed.end()) return;
  if (!is_printable(value)) throw malformed(fmt::format("header {} is not printable ASCII", key));
  if (!head.header(key).empty()) throw malformed(fmt::format("there are two headers {}", key));
  head.headers.emplace_back(key, value);
}

size_t body_length(const RequestHead& head) {
  const std::string_view text = head.header("content-length");
  if (text.empty()) return 0;
  size_t length = 0;
  const std::errc error = read_number(text, length);
  if (error == std::errc::invalid_argument) throw malformed("Content-Length is not a number");
  if (error == std::errc::result_out_of_range || length > kMaxBodyBytes)
    throw Fault(413, "too_large",
                fmt::format("the body has {} bytes; expected at most {}", text, kMaxBodyBytes),
                "divide it among several requests");
  return length;
}

}  // namespace

std::string_view RequestHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

std::string RequestHead::text() const {
  std::string text = fmt::format("{} {} HTTP/1.1\r\n", method, target);
  for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
  return text + "\r\n";
}

RequestHead parse_head(std::string_view text) {
  RequestHead head;
  const auto first = take(text, kLineEnd);
  if (!first) throw malformed("its first line has no end");
  read_request_line(*first, head);
  while (const auto line = take(text, kLineEnd)) {
    if (line->empty()) break;
    read_header(*line, head);
  }
  head.body = body_length(head);
  if (head.body > 0) {
    if (head.method != "POST") throw malformed("only POST has a body");
    const std::string_view type = head.header("content-type");
    if (lower_case(trimmed(type.substr(0, type.find(';')))) != "application/json")
      throw Fault(415, "bad_type", "the body is not said to be JSON",
                  "send Content-Type: application/json");
  }
  head.keeps_alive = lower_case(head.header("connection")) != "close";
  return head;
}

}  // namespace combiner

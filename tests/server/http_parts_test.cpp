// The parts that stand between clients and the rest.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "random.h"
#include "server/base64.h"
#include "server/embedded.h"
#include "server/fault.h"
#include "server/guard.h"
#include "server/head.h"
#include "server/job_board.h"
#include "server/limits.h"
#include "server/routes.h"

namespace combiner {
namespace {

constexpr int kAllRight = 0;

int status_of(const std::string& head) {
  try {
    parse_head(head);
    return kAllRight;
  } catch (const Fault& fault) {
    return fault.status();
  }
}

int guarded(const Guard& guard, const std::vector<std::pair<std::string, std::string>>& headers) {
  try {
    guard.check({.headers = headers}, false);
    return kAllRight;
  } catch (const Fault& fault) {
    return fault.status();
  }
}

}  // namespace

TEST_CASE("base64: as RFC 4648 has it, and back") {
  const std::vector<std::pair<std::string, std::string>> known = {{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"}};
  for (const auto& [text, coded] : known) {
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    CHECK(to_base64(bytes) == coded);
    CHECK(from_base64(coded) == bytes);
  }
  Random random(1);
  for (size_t size = 0; size < 70; ++size) {
    const std::vector<uint8_t> bytes = random.bytes(size);
    CHECK(from_base64(to_base64(bytes)) == bytes);
  }
  for (const char* wrong : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm 9", "Zm9\n"})
    CHECK(!from_base64(wrong));
}

TEST_CASE("head: the library sees what the server uses, and nothing else") {
  const RequestHead head = parse_head(
      "POST /v1/samples HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1\r\nUser-Agent: x\r\n"
      "CONTENT-type: application/json; charset=utf-8\r\nContent-Length:  12 \r\n"
      "Accept-Encoding: gzip\r\nConnection: Close\r\n\r\n");
  CHECK(head.body == 12);
  CHECK(!head.keeps_alive);
  CHECK(head.text() ==
        "POST /v1/samples HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json; "
        "charset=utf-8\r\ncontent-length: 12\r\nconnection: Close\r\n\r\n");
}

TEST_CASE("head: what HTTP or a limit does not allow is refused by its status") {
  const auto get = [](const std::string& headers, const std::string& line = "GET / HTTP/1.1") {
    return status_of(line + "\r\n" + headers + "\r\n");
  };
  CHECK(get("Host: a\r\n") == kAllRight);
  for (const char* line : {"", "GET", "GET /", "GET / HTTP/2", "GET / HTTP/1.0", "GET  / HTTP/1.1",
                           "GET x HTTP/1.1", "GET /\x80 HTTP/1.1", "GET /\x01 HTTP/1.1"})
    CHECK(get("", line) == 400);
  for (const char* line : {"HEAD / HTTP/1.1", "get / HTTP/1.1", "OPTIONS / HTTP/1.1"})
    CHECK(get("", line) == 405);
  CHECK(get("", "GET /" + std::string(kMaxTargetBytes, 'a') + " HTTP/1.1") == 414);
  for (const char* headers :
       {"a\r\n", ": b\r\n", "a b: c\r\n", " a: b\r\n", "Host: \x80\r\n", "Host: a\r\nhost: b\r\n",
        "Content-Length: -1\r\n", "Content-Length: 1x\r\n", "Content-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n"})
    CHECK(get(headers) == 400);
  const std::string post = "POST / HTTP/1.1", json = "Content-Type: application/json\r\n";
  CHECK(get(json + "Content-Length: 5\r\n", post) == kAllRight);
  CHECK(get("Content-Length: 5\r\n", post) == 415);
  CHECK(get("Content-Type: text/plain\r\nContent-Length: 5\r\n", post) == 415);
  CHECK(get(json + "Content-Encoding: gzip\r\nContent-Length: 5\r\n", post) == 415);
  CHECK(get(json + "Transfer-Encoding: chunked\r\n", post) == 411);
  CHECK(get(json + fmt::format("Content-Length: {}\r\n", kMaxBodyBytes + 1), post) == 413);
  CHECK(get(json + "Content-Length: 99999999999999999999\r\n", post) == 413);
}

TEST_CASE("guard: requests of other sites' pages are refused") {
  const Guard guard("127.0.0.1", "");
  for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]"})
    CHECK(guarded(guard, {{"host", host}}) == kAllRight);
  for (const char* host : {"", "evil.example", "evil.example:8080", "localhost.evil.example",
                           "10.0.0.1", "[::2]:8080", "localhost evil"})
    CHECK(guarded(guard, {{"host", host}}) == 403);
  CHECK(guarded(guard, {}) == 403);
  const auto from = [&](const char* origin) {
    return guarded(guard, {{"host", "localhost:8080"}, {"origin", origin}});
  };
  CHECK(from("http://localhost:8080") == kAllRight);
  for (const char* origin : {"null", "http://evil.example", "https://localhost:8080",
                             "http://localhost", "http://127.0.0.1:8080"})
    CHECK(from(origin) == 403);
  // Names are of any case.
  CHECK(guarded(guard, {{"host", "LocalHost:8080"}, {"origin", "http://localhost:8080"}}) ==
        kAllRight);
  CHECK(guarded(Guard("MyBox", ""), {{"host", "mybox:8080"}}) == kAllRight);
}

TEST_CASE("guard: a key is asked for, whole") {
  const std::string key = "0123456789abcdef";
  const Guard guard("0.0.0.0", key);
  const auto with = [&](const std::string& authorization) {
    return guarded(guard, {{"host", "192.168.0.7:80"}, {"authorization", authorization}});
  };
  CHECK(with("Bearer " + key) == kAllRight);
  for (const std::string& wrong :
       std::vector<std::string>{"", key, "Bearer ", "Bearer " + key + key,
                                "Bearer 0123456789abcdeF", "Bearer 0123456789abcde"})
    CHECK(with(wrong) == 401);
  CHECK(guarded(guard, {{"host", "evil.example"}, {"authorization", "Bearer " + key}}) == 403);
  CHECK_NOTHROW(guard.check({.headers = {{"host", "192.168.0.7"}}}, true));
  // A server with TLS may be in front of one with a key.
  for (const auto& [origin, expected] :
       {std::pair("https://192.168.0.7", kAllRight), std::pair("https://192.168.0.8", 403)})
    CHECK(guarded(guard, {{"host", "192.168.0.7"},
                          {"origin", origin},
                          {"authorization", "Bearer " + key}}) == expected);
  CHECK(is_loopback("127.0.0.1"));
  CHECK(is_loopback("::1"));
  for (const char* host : {"0.0.0.0", "::", "127.evil.example", "10.0.0.1", ""})
    CHECK(!is_loopback(host));
}

TEST_CASE("job board: the oldest finished jobs are forgotten, unfinished ones limited") {
  JobBoard board(3);
  std::vector<std::shared_ptr<Job>> jobs;
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) jobs.push_back(board.add({.images = 1}, 5));
  try {
    board.add({.images = 1}, 5);
    FAIL("a fourth");
  } catch (const Fault& fault) {
    CHECK(fault.status() == 429);
    CHECK(fault.retry_after() == 5);
  }
  for (const auto& job : jobs) job->cancel();
  for (size_t i = 0; i < kMaxFinishedJobs; ++i) {
    const auto job = board.add({.images = 1}, 5);
    job->finish_image(0, {1, 1, {0, 0, 0}});
    CHECK(job->id().size() == 32);
    ids.insert(job->id());
  }
  CHECK(ids.size() == kMaxFinishedJobs);
  board.add({.images = 1}, 5);
  CHECK_THROWS_AS(board.find(jobs[0]->id()), Fault);
  CHECK_THROWS_AS(board.find("none"), Fault);
  CHECK(board.find(*ids.begin())->state() == JobState::done);
  // Large results are forgotten sooner.
  const int side = 4096;
  const auto pixels = static_cast<size_t>(3 * side * side);
  std::string first;
  for (int i = 0; i < 4; ++i) {
    const auto job = board.add({.images = 1}, 5);
    if (first.empty()) first = job->id();
    job->finish_image(0, {side, side, std::vector<uint8_t>(pixels)});
  }
  board.add({.images = 1}, 5);
  CHECK_THROWS_AS(board.find(first), Fault);
  // But never the newest.
  const auto large = board.add({.images = 3}, 5);
  for (int i = 0; i < 3; ++i) large->finish_image(i, {side, side, std::vector<uint8_t>(pixels)});
  board.add({.images = 1}, 5);
  CHECK(board.find(large->id()) == large);
}

TEST_CASE("openapi.json: has every route, and no other") {
  const auto document = nlohmann::json::parse(openapi_json());
  std::set<std::string> documented, served;
  for (const auto& [path, methods] : document.at("paths").items())
    for (const auto& [method, operation] : methods.items()) {
      if (method == "parameters") continue;  // of all its methods
      std::string name = method;
      for (char& letter : name) letter = static_cast<char>(std::toupper(letter));
      documented.insert(name + " " + path);
      CHECK(!operation.at("summary").get<std::string>().empty());
      CHECK(!operation.at("responses").empty());
    }
  std::vector<std::unique_ptr<ServedModel>> none;
  Service service(std::move(none), {});
  for (const Route& route : routes(service, std::make_shared<std::atomic<int>>(0)))
    served.insert(route.method + " " + route.path);
  CHECK(documented == served);
}

TEST_CASE("page: its script and style are let run, and it asks nobody else for anything") {
  const std::string page(page_html());
  CHECK(page.find("<script nonce=\"NONCE\">") != page.npos);
  CHECK(page.find("<style nonce=\"NONCE\">") != page.npos);
  for (const char* outside : {"https://", "//cdn", "@import", "url(http", " style=\"", "onclick="})
    CHECK(page.find(outside) == page.npos);
}

}  // namespace combiner

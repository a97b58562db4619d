#include "server/http_server.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "server/connection.h"
#include "server/httplib.h"
#include "server/limits.h"
#include "server/routes.h"

namespace combiner {
namespace {

// How long those who follow events have to hear of the end.
constexpr auto kFarewell = std::chrono::seconds(2);

constexpr const char* kNothingElse = "default-src 'none'; frame-ancestors 'none'";

// A thread for each connection, up to kMaxConnections. Further ones are handled by the thread that
// accepts, which must not wait for them.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  Enqueued enqueue(std::function<void()> handle) override {
    if (!start(handle)) handle();
    return Enqueued(true);
  }

  void shutdown() override {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return running_ == 0; });
  }

 private:
  bool start(const std::function<void()>& handle) {
    {
      const std::lock_guard lock(mutex_);
      if (running_ == kMaxConnections) return false;
      ++running_;
    }
    const auto end = [this] {
      const std::lock_guard lock(mutex_);
      if (--running_ == 0) ended_.notify_all();
    };
    try {
      std::thread([handle, end] {
        handle();
        end();
      }).detach();
      return true;
    } catch (const std::system_error&) {  // the system refuses a thread
      end();
      return false;
    }
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
};

// An answer in place of the library's.
std::string response_text(const Fault& fault) {
  const std::string body = error_json(fault);
  std::string text = fmt::format(
      "HTTP/1.1 {} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: {}\r\nConnection: close\r\n",
      fault.status(), body.size(), kNothingElse);
  if (fault.status() == 401) text += "WWW-Authenticate: Bearer\r\n";
  if (fault.retry_after() > 0) text += fmt::format("Retry-After: {}\r\n", fault.retry_after());
  return text + "\r\n" + body;
}

// Why the system finds no address for a host; empty if it finds one. The library does not tell.
std::string why_unknown(const std::string& host) {
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, nullptr, &found); error != 0)
    return ::gai_strerror(error);
  ::freeaddrinfo(found);
  return {};
}

}  // namespace

// Puts what is checked and limited here in front of the library: see Connection.
class HttpServer::Listener final : public httplib::Server {
 public:
  Listener(Service& service, Guard guard) : guard_(std::move(guard)) {
    new_task_queue = [] { return new ConnectionThreads(); };
    // The library would let several servers share a port.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_tcp_nodelay(true);
    set_keep_alive_max_count(kMaxRequestsPerConnection);
    set_keep_alive_timeout(kIdleTime.count());
    set_payload_max_length(kMaxBodyBytes);
    for (const Route& route : routes(service, followers_)) {
      const std::string pattern = pattern_of(route.path);
      if (route.open) open_.push_back(route.path);
      addresses_.emplace_back(route.method, pattern);
      if (route.method == "GET") Get(pattern, route.handle);
      if (route.method == "POST") Post(pattern, route.handle);
      if (route.method == "DELETE") Delete(pattern, route.handle);
    }
    set_error_handler(Handler([this](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      const bool missing = response.status == 404;
      if (const std::string methods = missing ? methods_at(request.path) : ""; !methods.empty()) {
        response.status = 405;
        response.set_header("Allow", methods);
        response.set_content(
            error_json(Fault(405, "bad_method",
                             fmt::format("this address doesn't take {}", request.method),
                             fmt::format("use {}", methods))),
            "application/json");
        return;
      }
      response.set_content(error_json(Fault(response.status, missing ? "not_found" : "bad_request",
                                            missing ? "there is nothing at this address"
                                                    : "the request can't be read",
                                            "/openapi.json lists all addresses")),
                           "application/json");
    }));
    set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
      response.set_header("X-Content-Type-Options", "nosniff");
      response.set_header("Referrer-Policy", "no-referrer");
      if (!response.has_header("Cache-Control")) response.set_header("Cache-Control", "no-store");
      if (!response.has_header("Content-Security-Policy"))
        response.set_header("Content-Security-Policy", kNothingElse);
    });
  }

  int bind(const std::string& host, int port) {
    const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
    if (bound < 0) {
      const int error = errno;
      if (const std::string why = why_unknown(host); !why.empty())
        throw Error(
            fmt::format("can't listen at {}: there is no such address: {}; choose another "
                        "--host",
                        host, why));
      throw Error(fmt::format("can't listen at {} port {}: {}; choose another --port, or 0 for any",
                              host, port, std::generic_category().message(error)));
    }
    // The library's queue of connections that wait to be accepted holds five.
    ::listen(svr_sock_, kMaxConnections);
    return bound;
  }

  void serve() {
    accepting_ = std::this_thread::get_id();
    listen_after_bind();
    served_ = true;
  }
  bool has_served() const { return served_; }

  void end() {
    const auto until = std::chrono::steady_clock::now() + kFarewell;
    while (*followers_ > 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    closing_ = true;
    // The library forgets a stop before it has begun.
    while (!is_running() && !served_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Server::stop();
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    {
      Connection connection(socket, closing_);
      if (std::this_thread::get_id() == accepting_) {
        connection.send(response_text(Fault(503, "too_many", "there are too many connections",
                                            "close others, or try again later", 1)));
      } else {
        converse(connection);
        connection.finish();
      }
    }
    ::shutdown(socket, SHUT_RDWR);
    ::close(socket);
    return true;
  }

  void converse(Connection& connection) {
    try {
      for (int i = 1; i <= kMaxRequestsPerConnection && !closing_; ++i) {
        const std::optional<RequestHead> head = connection.next();
        if (!head) return;
        guard_.check(*head, is_open(*head));
        connection.begin(*head);
        const bool last = !head->keeps_alive || i == kMaxRequestsPerConnection;
        bool closed = false;
        if (!process(*this, connection, last, closed) || closed || last) return;
        if (!connection.at_end()) return;  // what follows would be taken for a request
      }
    } catch (const Fault& fault) {
      connection.send(response_text(fault));
    } catch (const std::exception&) {
      // Without memory, there is no answer.
    }
  }

  bool is_open(const RequestHead& head) const {
    return std::ranges::find(open_, head.target.substr(0, head.target.find('?'))) != open_.end();
  }

  // The methods of an address, as a header lists them; empty if there is nothing.
  std::string methods_at(const std::string& path) const {
    std::string methods;
    for (const auto& [method, pattern] : addresses_)
      if (std::regex_match(path, pattern)) methods += (methods.empty() ? "" : ", ") + method;
    return methods;
  }

  // The library's versions differ in what this takes.
  template <class Self>
  static bool process(Self& self, httplib::Stream& stream, bool last, bool& closed) {
    if constexpr (requires { self.process_request(stream, last, closed, nullptr); })
      return self.process_request(stream, last, closed, nullptr);
    else
      return self.process_request(stream, {}, 0, {}, 0, last, closed, nullptr);
  }

  const Guard guard_;
  const std::shared_ptr<std::atomic<int>> followers_ = std::make_shared<std::atomic<int>>(0);
  std::vector<std::string> open_;
  // Methods, and what their addresses match.
  std::vector<std::pair<std::string, std::regex>> addresses_;
  std::thread::id accepting_;
  std::atomic<bool> closing_ = false, served_ = false;
};

HttpServer::HttpServer(Service& service, Guard guard)
    : listener_(std::make_unique<Listener>(service, std::move(guard))) {}
HttpServer::~HttpServer() = default;

int HttpServer::bind(const std::string& host, int port) { return listener_->bind(host, port); }
void HttpServer::serve() { listener_->serve(); }
bool HttpServer::has_served() const { return listener_->has_served(); }
void HttpServer::stop() { listener_->end(); }

}  // namespace combiner

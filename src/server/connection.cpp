#include "server/connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "server/fault.h"
#include "server/limits.h"

namespace combiner {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr auto kGlance = std::chrono::milliseconds(100);  // between looks at whether to close

// Whether the socket becomes ready in this time.
bool wait_for(socket_t socket, short events, std::chrono::milliseconds time) {
  pollfd descriptor{socket, events, 0};
  return ::poll(&descriptor, 1, static_cast<int>(std::max<int64_t>(time.count(), 0))) > 0;
}

bool try_again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Connection::Connection(socket_t socket, const std::atomic<bool>& closing)
    : socket_(socket), closing_(closing) {
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
}

// Returns false if nothing comes any more, or not in time.
bool Connection::receive(Clock::time_point until) {
  std::array<char, 16 * 1024> bytes;
  for (;;) {
    const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (size > 0) {
      received_.append(bytes.data(), static_cast<size_t>(size));
      return true;
    }
    if (size == 0 || !try_again()) return false;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    if (closing_ || left.count() <= 0) return false;
    wait_for(socket_, POLLIN, std::min<std::chrono::milliseconds>(left, kGlance));
  }
}

std::optional<RequestHead> Connection::next() {
  if (received_.empty() && !receive(Clock::now() + kIdleTime)) return std::nullopt;
  const Clock::time_point until = Clock::now() + kHeadTime;
  size_t end = 0;
  while ((end = received_.find(kHeadEnd)) == received_.npos) {
    if (received_.size() > kMaxHeadBytes) break;
    if (!receive(until)) return std::nullopt;
  }
  if (std::min(end, received_.size()) > kMaxHeadBytes)
    throw Fault(431, "too_large",
                fmt::format("the request's headers have more than {} bytes", kMaxHeadBytes));
  end += kHeadEnd.size();
  const RequestHead head = parse_head(std::string_view(received_).substr(0, end));
  received_.erase(0, end);
  return head;
}

void Connection::begin(const RequestHead& head) {
  head_ = head.text();
  body_left_ = head.body;
  body_until_ = Clock::now() + kBodyTime;
}

ssize_t Connection::read(char* to, size_t size) {
  if (!head_.empty()) {
    const size_t taken = head_.copy(to, size);
    head_.erase(0, taken);
    return static_cast<ssize_t>(taken);
  }
  size = std::min(size, body_left_);
  if (size == 0) return 0;
  if (received_.empty() && !receive(body_until_)) return -1;
  const size_t taken = received_.copy(to, size);
  received_.erase(0, taken);
  body_left_ -= taken;
  return static_cast<ssize_t>(taken);
}

bool Connection::send(std::string_view bytes) {
  Clock::time_point until = Clock::now() + kWriteTime;
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
      until = Clock::now() + kWriteTime;
    } else if (!try_again() || closing_ || Clock::now() >= until) {
      return false;
    } else {
      wait_for(socket_, POLLOUT, kGlance);
    }
  }
  return true;
}

void Connection::finish() {
  ::shutdown(socket_, SHUT_WR);
  const Clock::time_point until = Clock::now() + kFarewellTime;
  do received_.clear();
  while (receive(until));
}

ssize_t Connection::write(const char* from, size_t size) {
  return send({from, size}) ? static_cast<ssize_t>(size) : -1;
}

// False too if the client has gone, which one who waits for events learns here.
bool Connection::is_writable() const {
  char byte = 0;
  const ssize_t peeked = ::recv(socket_, &byte, 1, MSG_PEEK);
  if (peeked == 0 || (peeked < 0 && !try_again())) return false;
  return true;  // send() waits
}

// Nobody asks who the client is.
void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace combiner

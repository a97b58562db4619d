// One client's connection.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "server/head.h"
#include "server/httplib.h"

namespace combiner {

// Gives the HTTP library one request at a time: the head as parse_head() has understood it, then as
// many bytes of body as it announced, then nothing. All waiting has an end.
class Connection final : public httplib::Stream {
 public:
  // Does not own the socket, which becomes non-blocking.
  Connection(socket_t socket, const std::atomic<bool>& closing);

  // Waits for the next request and reads its head; nullopt if there is none, or the client is too
  // slow. Throws Fault if it is not as it should be; what follows it can't be read then.
  std::optional<RequestHead> next();
  // What read() begins with.
  void begin(const RequestHead& head);
  // Whether the request was read to its end.
  bool at_end() const { return head_.empty() && body_left_ == 0; }

  // Sends all. Returns false if the client takes nothing for too long.
  bool send(std::string_view bytes);
  // Sends no more, and for a short time takes in what the client still sends. If a socket is closed
  // before that, the client may lose the answer.
  void finish();

  // httplib::Stream
  bool is_readable() const override { return !at_end(); }
  bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool receive(Clock::time_point until);

  const socket_t socket_;
  const std::atomic<bool>& closing_;
  std::string received_;  // and not used yet
  std::string head_;      // of the present request, not read yet
  size_t body_left_ = 0;
  Clock::time_point body_until_;
};

}  // namespace combiner

// The server as clients see it.
#pragma once

#include <memory>
#include <string>

#include "server/guard.h"
#include "server/service.h"

namespace combiner {

class HttpServer {
 public:
  // `service` must outlive it.
  HttpServer(Service& service, Guard guard);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens at this address; port 0 is any that is free. Returns the port. Throws Error if the
  // address can't be had.
  int bind(const std::string& host, int port);

  // Answers requests until stop() is called by another thread; then waits, for a few seconds at
  // most, until all answers are sent.
  void serve();
  // Whether serve() has ended, as it also does if the system gives it no more connections.
  bool has_served() const;
  // To be called once serve() has been, or is about to be. First lets those who follow a job's
  // events hear of its end, for which the service must have been stopped.
  void stop();

 private:
  class Listener;
  std::unique_ptr<Listener> listener_;
};

}  // namespace combiner

// What is wrong with a request, for the client.
#pragma once

#include <string>
#include <utility>

#include "combiner/error.h"

namespace combiner {

// Becomes a response with this status and {"error": {"code", "message", "hint"}}.
class Fault : public Error {
 public:
  Fault(int status, std::string code, const std::string& message, std::string hint = {},
        int retry_after = 0)
      : Error(message),
        status_(status),
        code_(std::move(code)),
        hint_(std::move(hint)),
        retry_after_(retry_after) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& hint() const { return hint_; }
  // Seconds after which the same request may succeed; 0 if that does not depend on time.
  int retry_after() const { return retry_after_; }

 private:
  int status_;
  std::string code_, hint_;
  int retry_after_;
};

}  // namespace combiner

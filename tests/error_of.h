// Captures the message of an Error.
#pragma once

#include <string>

#include "combiner/error.h"

namespace combiner {

// The message of the Error that `function` throws, or a message that it threw none.
template <class Function>
std::string error_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error was thrown";
}

}  // namespace combiner

// What a call complains about.
#pragma once

#include <string>

#include "combiner/error.h"

namespace combiner {

// The message of the Error that `function` throws, or that it throws none.
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

// The library's exceptions.
#pragma once

#include <stdexcept>

namespace combiner {

// Reports that something outside the program is wrong: a file, a tensor, an image or a
// configuration. The message says what is wrong and where (file, tensor, field, position), what was
// found, what was expected and, where it helps, what to do. It is a complete sentence for the user;
// programs show it unchanged.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reports that a model's figures are infinite or no numbers, so its weights are of no use.
class NotFinite : public Error {
 public:
  using Error::Error;
};

}  // namespace combiner

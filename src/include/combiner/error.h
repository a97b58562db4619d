// The one exception type of the library.
#pragma once

#include <stdexcept>

namespace combiner {

// Something outside the program is wrong: a file, a tensor, an image, a configuration. The message
// says what, where (file, tensor, field, position), expected and actual, and a hint where one
// helps. It is a whole sentence for a person; programs show it as it is.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace combiner

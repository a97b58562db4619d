// Errors of the library as exceptions of Python.
#include "combiner/error.h"
#include "module.h"

namespace combiner {

void bind_errors(pybind11::module_& module) {
  auto error = pybind11::register_exception<Error>(module, "Error");
  error.attr("__module__") = "combiner";
  error.doc() =
      "Something is wrong with a file, an image, a configuration or an option. The message says "
      "what, where, and what was expected.";
}

}  // namespace combiner

// The parts of the extension module, each of which adds its classes and functions to it. What users
// see is the Python package around it, which checks types and shapes.
#pragma once

#include <pybind11/pybind11.h>

namespace combiner {

void bind_errors(pybind11::module_& module);
void bind_models(pybind11::module_& module);
void bind_sessions(pybind11::module_& module);
void bind_codec(pybind11::module_& module);
void bind_attention(pybind11::module_& module);
void bind_pictures(pybind11::module_& module);
void bind_datasets(pybind11::module_& module);
void bind_weights(pybind11::module_& module);
void bind_training(pybind11::module_& module);

}  // namespace combiner

// Weights files and configs, for other forms of the model.
#include <fmt/format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>

#include "arrays.h"
#include "combiner/error.h"
#include "gil.h"
#include "module.h"
#include "training/initialise.h"
#include "weights/weights_file.h"

namespace combiner {
namespace py = pybind11;
namespace {

FloatArray array_of(const Parameter& parameter, const Weights& weights) {
  FloatArray array(parameter.shape);
  std::copy_n(weights.values.data() + parameter.offset, parameter.size, array.mutable_data());
  return array;
}

py::dict arrays_of(const Weights& weights) {
  py::dict arrays;
  for (const Parameter& parameter : weights.parameters.list)
    arrays[py::str(parameter.name)] = array_of(parameter, weights);
  return arrays;
}

std::string_view name(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::matrix:
      return "matrix";
    case ParameterKind::value_table:
      return "value_table";
    default:
      return "other";
  }
}

// (config, arrays by name)
py::tuple load(const std::filesystem::path& path) {
  const Weights weights = without_gil([&] { return load_weights(path); });
  return py::make_tuple(to_json(weights.config), arrays_of(weights));
}

void save(const std::filesystem::path& path, const std::string& config,
          const std::map<std::string, FloatArray>& arrays, bool bf16) {
  Weights weights(parse_config(config, "config"));
  for (const Parameter& parameter : weights.parameters.list) {
    const auto found = arrays.find(parameter.name);
    if (found == arrays.end()) throw Error(fmt::format("tensor {} is missing", parameter.name));
    check_shape(found->second, parameter.name, parameter.shape);
    std::copy_n(found->second.data(), parameter.size, weights.values.data() + parameter.offset);
  }
  for (const auto& [name, array] : arrays)
    if (std::ranges::find(weights.parameters.list, name, &Parameter::name) ==
        weights.parameters.list.end())
      throw Error(fmt::format("tensor {} is unknown to a model of this config", name));
  without_gil([&] { save_weights(weights, bf16 ? DType::bf16 : DType::f32, path); });
}

// The kinds of a model's parameters by name, in the order of the library.
py::dict parameter_kinds(const std::string& config) {
  py::dict kinds;
  for (const Parameter& parameter : Parameters(parse_config(config, "config")).list)
    kinds[py::str(parameter.name)] = name(parameter.kind);
  return kinds;
}

}  // namespace

void bind_weights(py::module_& module) {
  module.def("load_weights", &load);
  module.def("save_weights", &save);
  module.def("parameter_kinds", &parameter_kinds);
  module.def("initial_weights", [](const std::string& config, uint64_t seed) {
    return arrays_of(
        without_gil([&] { return initial_weights(parse_config(config, "config"), seed); }));
  });
  module.def("parse_config", [](const std::string& json, const std::string& source) {
    return to_json(parse_config(json, source));
  });
}

}  // namespace combiner

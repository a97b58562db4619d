// What a training with other means has in common with `combiner train`: its options, schedule, log
// and checkpoints.
#include <fmt/format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "arrays.h"
#include "base/file_lock.h"
#include "base/output_file.h"
#include "combiner/error.h"
#include "gil.h"
#include "module.h"
#include "training/checkpoint.h"
#include "training/data_sample.h"
#include "training/log.h"
#include "training/options.h"
#include "weights/safetensors.h"
#include "weights/weights_file.h"

namespace combiner {
namespace py = pybind11;
namespace {

OptimizerKind kind_called(const std::string& name) {
  if (const auto kind = optimizer_named(name)) return *kind;
  throw std::invalid_argument(fmt::format("the optimizer is '{}'; expected muon or adamw", name));
}

void bind_options(py::module_& module) {
  py::class_<TrainingOptions>(module, "TrainingOptions")
      .def(py::init())
      .def("__copy__", [](const TrainingOptions& options) { return options; })
      .def_static("parse",
                  [](const std::string& json, const std::string& source) {
                    return parse_training_options(json, source);
                  })
      .def("json", [](const TrainingOptions& options) { return to_json(options); })
      .def("validate", [](const TrainingOptions& options,
                          const std::string& source) { validate(options, source); })
      .def("learning_rate_at", &learning_rate)
      .def_property(
          "optimizer", [](const TrainingOptions& options) { return name(options.optimizer.kind); },
          [](TrainingOptions& options, const std::string& name) {
            options.optimizer.kind = kind_called(name);
          })
      .def_property(
          "weight_decay",
          [](const TrainingOptions& options) { return options.optimizer.weight_decay; },
          [](TrainingOptions& options, float decay) { options.optimizer.weight_decay = decay; })
      .def_property_readonly(
          "muon_momentum",
          [](const TrainingOptions& options) { return options.optimizer.muon_momentum; })
      .def_property_readonly("beta1",
                             [](const TrainingOptions& options) { return options.optimizer.beta1; })
      .def_property_readonly("beta2",
                             [](const TrainingOptions& options) { return options.optimizer.beta2; })
      .def_property_readonly(
          "epsilon", [](const TrainingOptions& options) { return options.optimizer.epsilon; })
      .def_readwrite("batch", &TrainingOptions::batch)
      .def_readwrite("learning_rate", &TrainingOptions::learning_rate)
      .def_readwrite("warmup_steps", &TrainingOptions::warmup_steps)
      .def_readwrite("decay_fraction", &TrainingOptions::decay_fraction)
      .def_readwrite("clip_norm", &TrainingOptions::clip_norm)
      .def_readwrite("average_decay", &TrainingOptions::average_decay)
      .def_readwrite("flips", &TrainingOptions::flips)
      .def_readwrite("seed", &TrainingOptions::seed)
      .def_readwrite("hold_out_seed", &TrainingOptions::hold_out_seed);
}

void bind_log(py::module_& module) {
  py::class_<TrainingLog>(module, "TrainingLog")
      .def(py::init<const std::filesystem::path&, int64_t>())
      .def("begin", &TrainingLog::begin)
      .def("write", [](TrainingLog& log, int64_t step, int64_t images, double seconds,
                       double bits_per_dim, std::optional<double> validation, double rate,
                       double gradient_norm, double images_per_second) {
        log.write({.step = {step, images, bits_per_dim, rate, gradient_norm},
                   .seconds = seconds,
                   .images_per_second = images_per_second,
                   .validation = validation});
      });
}

// (metadata, arrays by name)
py::tuple read_checkpoint(const std::filesystem::path& path) {
  const SafetensorsFile file = without_gil([&] {
    read_checkpoint_header(path);  // throws if it is none
    return SafetensorsFile::open(path);
  });
  py::dict arrays;
  for (const TensorView& tensor : file.tensors()) {
    FloatArray array(tensor.shape);
    const std::span to(array.mutable_data(), static_cast<size_t>(array.size()));
    without_gil([&] { to_floats(tensor, to); });
    arrays[py::str(tensor.name)] = array;
  }
  return py::make_tuple(file.metadata(), arrays);
}

void write_checkpoint(const std::filesystem::path& path, const Metadata& metadata,
                      const std::map<std::string, FloatArray>& arrays) {
  std::vector<TensorView> tensors;
  for (const auto& [name, array] : arrays)
    tensors.push_back({name,
                       DType::f32,
                       {array.size()},
                       std::as_bytes(std::span(array.data(), static_cast<size_t>(array.size())))});
  without_gil([&] { write_safetensors(path, metadata, tensors); });
}

}  // namespace

void bind_training(py::module_& module) {
  bind_options(module);
  bind_log(module);
  module.def("has_rows_after", &has_rows_after);
  py::class_<FileLock>(module, "FileLock")
      .def(py::init())
      .def("take", &FileLock::take)
      .def("require_same", &FileLock::require_same);
  // Throws Error if the file can't be written, and leaves it as it is.
  module.def("check_writable", [](const std::filesystem::path& path) { OutputFile{path}; });
  py::enum_<WeightsThere>(module, "WeightsThere")
      .value("no", WeightsThere::no)
      .value("yes", WeightsThere::yes)
      .value("damaged", WeightsThere::damaged);
  module.def("weights_at", &weights_at);
  module.def("checkpoint_step",
             [](const std::filesystem::path& path) { return read_checkpoint_header(path).step; });
  module.def("read_checkpoint", &read_checkpoint);
  module.def("write_checkpoint", &write_checkpoint);
  module.def("data_sample", [](const ByteArray& images) {
    check_shape(images, "images", {-1, -1, -1, 3});
    const ArrayDataset dataset(
        images, {static_cast<int>(images.shape(1)), static_cast<int>(images.shape(2)), 3});
    return without_gil([&] { return data_sample(dataset); });
  });
  module.def("alike", [](const std::string& sample, const std::string& other) {
    return alike(sample, other);
  });
}

}  // namespace combiner

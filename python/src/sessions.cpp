// Drawing images step by step, with values that Python chooses.
#include <fmt/format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <stdexcept>

#include "arrays.h"
#include "base/in_use.h"
#include "combiner/session.h"
#include "gil.h"
#include "models.h"
#include "module.h"
#include "watched.h"

namespace combiner {
namespace py = pybind11;
namespace {

uint8_t value_of(const py::object& chosen) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(chosen.ptr()));
  if (!index) throw py::error_already_set();
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0 || value < 0 || value > 255)
    throw std::invalid_argument("choose returned " + std::string(py::str(index)) +
                                "; expected the value of a sub-pixel, 0 to 255");
  return static_cast<uint8_t>(value);
}

// Images that are decoded together, all at the same position.
class Pictures {
 public:
  Pictures(const Model& model, int64_t count) : config_(model.config()), session_(model, count) {
    for (int64_t i = 0; i < count; ++i) images_.push_back(session_.new_image());
  }

  int64_t position() const { return images_.front()->position; }

  void step(const py::function& choose) {
    const auto in_use = use();
    const WithoutGil without_gil;
    session_.step(states(), [&](size_t image, int64_t subpixel, std::span<const float> logits) {
      const WithGil with_gil(without_gil);
      // A copy: the logits are overwritten by the next ones.
      const FloatArray copy(std::ssize(logits), logits.data());
      return value_of(call_python(choose, py::make_tuple(image, subpixel, copy)));
    });
  }

  void prefill(const ByteArray& known, int rows) {
    const auto in_use = use();
    const std::vector<Image> pictures = images_of(known, config_.image);
    Watched watched;
    watched.run([&] { session_.prefill(states(), pictures, rows, watched.cancel()); });
  }

  // Image i becomes what image from[i] was.
  void select(const std::vector<int64_t>& from) {
    const auto in_use = use();
    if (from.size() != images_.size())
      throw std::invalid_argument(
          fmt::format("{} indices; expected {}, one for each image", from.size(), images_.size()));
    for (const int64_t i : from)
      if (i < 0 || i >= std::ssize(images_))
        throw std::invalid_argument(
            fmt::format("index {}; expected 0 to {}", i, images_.size() - 1));
    std::vector<std::unique_ptr<ImageState>> selected;
    without_gil([&] {
      for (const int64_t i : from) selected.push_back(images_[static_cast<size_t>(i)]->clone());
    });
    images_ = std::move(selected);  // with the GIL, because other threads may ask for the position
  }

  // [n, height, width, 3]; zeros from the position on.
  ByteArray images() const {
    const auto in_use = use();
    const ImageShape& shape = config_.image;
    ByteArray result({std::ssize(images_), py::ssize_t{shape.height}, py::ssize_t{shape.width},
                      py::ssize_t{shape.channels}});
    uint8_t* to = result.mutable_data();
    const int64_t dims = config_.dims();
    const int64_t valid = position() * (dims / config_.positions());
    for (const auto& image : images_) {
      std::copy_n(image->pixels.begin(), valid, to);
      std::fill_n(to + valid, dims - valid, uint8_t{0});
      to += dims;
    }
    return result;
  }

 private:
  // Marks the session as in use. Throws RuntimeError in Python if it is already.
  InUse<std::runtime_error> use() const {
    return {busy_, "the session is in use, by another thread or by a function that it called"};
  }
  std::vector<ImageState*> states() const {
    std::vector<ImageState*> states;
    for (const auto& image : images_) states.push_back(image.get());
    return states;
  }

  const ModelConfig& config_;
  Session session_;
  std::vector<std::unique_ptr<ImageState>> images_;
  mutable std::atomic_flag busy_;
};

}  // namespace

void bind_sessions(py::module_& module) {
  py::class_<Pictures>(module, "Session")
      .def(py::init([](Models& models, int64_t count) {
        const Model& model = models.for_work(Work::decoding);
        return without_gil([&] { return std::make_unique<Pictures>(model, count); });
      }))
      .def_property_readonly("position", &Pictures::position)
      .def("step", &Pictures::step)
      .def("prefill", &Pictures::prefill)
      .def("select", &Pictures::select)
      .def("images", &Pictures::images);
}

}  // namespace combiner

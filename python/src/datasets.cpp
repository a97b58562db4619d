// Data sets as arrays, and the order in which training goes through one.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "arrays.h"
#include "combiner/dataset.h"
#include "dataset/require_apart.h"
#include "dataset/scratch_file.h"
#include "dataset/subset.h"
#include "gil.h"
#include "module.h"
#include "training/data_order.h"
#include "watched.h"

namespace combiner {
namespace py = pybind11;
namespace {

// Opens a data set and reads all its images: [n, height, width, 3]. None if there is none.
py::object read(const std::function<std::unique_ptr<Dataset>(const DatasetOptions&)>& open,
                DatasetOptions options) {
  Watched watched;
  std::unique_ptr<Dataset> dataset;
  const auto poll = [&](const std::filesystem::path&, int64_t, int64_t) {
    watched.cancel().poll();
  };
  options.scratch = scratch_folder();
  options.checking = poll;
  options.checking_pictures = poll;
  watched.run([&] { dataset = open(options); });
  if (!dataset) return py::none();
  ByteArray images(
      {dataset->size(), int64_t{dataset->height()}, int64_t{dataset->width()}, int64_t{3}});
  uint8_t* const to = images.mutable_data();
  const auto bytes =
      size_t{3} * static_cast<size_t>(dataset->height()) * static_cast<size_t>(dataset->width());
  Watched reading;
  reading.run([&] {
    for (int64_t i = 0; i < dataset->size() && !reading.cancelled(); ++i)
      dataset->read(i, {to + static_cast<size_t>(i) * bytes, bytes});
  });
  return images;
}

// `height` and `width` are 0 for the size that the data set has.
py::object read_images(const std::filesystem::path& path, bool train, int height, int width,
                       bool resize, int threads) {
  return read([&](const DatasetOptions& options) { return open_dataset(path, options); },
              {.split = train ? Split::train : Split::test,
               .width = width,
               .height = height,
               .resize = resize,
               .threads = threads});
}

py::object read_validation(const std::filesystem::path& path, int height, int width, bool resize,
                           int threads) {
  return read(
      [&](const DatasetOptions& options) {
        auto found = open_validation(path, options);
        return found ? std::move(found->images) : nullptr;
      },
      {.width = width, .height = height, .resize = resize, .threads = threads});
}

// Throws Error if one of the paths has images of another: see require_apart.
void require_data_apart(const std::vector<std::filesystem::path>& paths, int height, int width,
                        bool validation) {
  without_gil([&] { require_apart(paths, {.width = width, .height = height}, validation); });
}

// Images number `first` to `first` + `count` - 1 of a training: their indices in the data set, and
// which are mirrored.
py::tuple data_order(uint64_t seed, int64_t size, bool flips, int64_t first, int64_t count) {
  DataOrder order(seed, size, flips);
  py::array_t<int64_t> indices(count);
  py::array_t<bool> flipped(count);
  for (int64_t i = 0; i < count; ++i) {
    const DataOrder::Place place = order.at(first + i);
    indices.mutable_at(i) = place.index;
    flipped.mutable_at(i) = place.flipped;
  }
  return py::make_tuple(indices, flipped);
}

}  // namespace

void bind_datasets(py::module_& module) {
  module.def("read_images", &read_images);
  module.def("require_apart", &require_data_apart);
  module.def("read_validation", &read_validation);
  module.def("drawn_indices", &drawn_indices);
  module.def("data_order", &data_order);
}

}  // namespace combiner

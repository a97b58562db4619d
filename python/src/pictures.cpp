// Pictures to look at, as PNG.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "arrays.h"
#include "gil.h"
#include "image/contact_sheet.h"
#include "image/png.h"
#include "image/surprise_map.h"
#include "image/write_png.h"
#include "module.h"

namespace combiner {
namespace py = pybind11;
namespace {

ByteArray array_of(const Image& image) {
  ByteArray array({py::ssize_t{image.height}, py::ssize_t{image.width}, py::ssize_t{3}});
  copy_pixels(image, array.mutable_data());
  return array;
}

ImageShape shape_of(const ByteArray& images) {
  check_shape(images, "images", {-1, -1, -1, 3});
  return {static_cast<int>(images.shape(1)), static_cast<int>(images.shape(2)), 3};
}

// images [n, height, width, 3]
ByteArray sheet(const ByteArray& images, int rows, int columns, int gap, int scale) {
  const std::vector<Image> pictures = images_of(images, shape_of(images));
  return array_of(without_gil([&] { return contact_sheet(pictures, rows, columns, gap, scale); }));
}

// An image [height, width, 3] beside a map of its bits [height, width, 3].
ByteArray surprise(const ByteArray& image, const FloatArray& bits) {
  check_shape(image, "image", {-1, -1, 3});
  check_shape(bits, "bits", {image.shape(0), image.shape(1), 3});
  const auto height = static_cast<int>(image.shape(0)), width = static_cast<int>(image.shape(1));
  const std::span from(bits.data(), static_cast<size_t>(bits.size()));
  const Image picture = image_of(image.data(), width, height);
  return array_of(without_gil([&] { return SurpriseMap(width, height).draw(picture, from); }));
}

// picture [height, width, 3]
Image picture_of(const ByteArray& picture) {
  check_shape(picture, "picture", {-1, -1, 3});
  return image_of(picture.data(), static_cast<int>(picture.shape(1)),
                  static_cast<int>(picture.shape(0)));
}

py::bytes png(const ByteArray& picture) {
  const Image image = picture_of(picture);
  const std::vector<std::byte> bytes = without_gil([&] { return encode_png(image); });
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void bind_pictures(py::module_& module) {
  module.def("sheet", &sheet);
  module.def("surprise", &surprise);
  module.def("png", &png);
  module.def("write_png", [](const std::filesystem::path& path, const ByteArray& picture) {
    const Image image = picture_of(picture);
    without_gil([&] { write_png(path, image); });
  });
}

}  // namespace combiner

// NumPy arrays as the library's images and back. The package's Python code has checked that arrays
// which it passes have the right type and shape and are contiguous, so nothing is copied to read
// them; what it may get wrong is an error all the same (check_shape).
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "combiner/config.h"
#include "combiner/dataset.h"
#include "combiner/image.h"

namespace combiner {

using ByteArray = pybind11::array_t<uint8_t, pybind11::array::c_style>;
using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

// Throws std::invalid_argument, ValueError in Python, unless the array has this shape; -1 is any
// number.
void check_shape(const pybind11::array& array, std::string_view what,
                 const std::vector<int64_t>& shape);

// Images [n, height, width, 3] as a data set. It reads from the array, which must outlive it; the
// GIL is not needed.
class ArrayDataset : public Dataset {
 public:
  ArrayDataset(const ByteArray& images, const ImageShape& shape);

  int64_t size() const override { return size_; }
  int width() const override { return width_; }
  int height() const override { return height_; }
  void read(int64_t index, std::span<uint8_t> pixels) const override;
  std::string describe(int64_t index) const override;

 private:
  const uint8_t* pixels_;
  int64_t size_;
  int width_, height_;
};

// Copies an image [height, width, 3].
Image image_of(const uint8_t* pixels, int width, int height);
// Copies images [n, height, width, 3].
std::vector<Image> images_of(const ByteArray& images, const ImageShape& shape);
// Copies an image's pixels to [height, width, 3].
void copy_pixels(const Image& image, uint8_t* pixels);

}  // namespace combiner

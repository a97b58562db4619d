#include "arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "model/parameters.h"

namespace combiner {
namespace {

size_t bytes_of(int width, int height) {
  return size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height);
}

}  // namespace

void check_shape(const pybind11::array& array, std::string_view what,
                 const std::vector<int64_t>& shape) {
  const std::vector<int64_t> found(array.shape(), array.shape() + array.ndim());
  const auto fits = [](int64_t is, int64_t should) { return should == -1 || is == should; };
  if (!std::ranges::equal(found, shape, fits))
    throw std::invalid_argument(fmt::format("{}: the shape is {}; expected {}, -1 for any", what,
                                            shape_text(found), shape_text(shape)));
}

ArrayDataset::ArrayDataset(const ByteArray& images, const ImageShape& shape)
    : pixels_(images.data()), size_(images.shape(0)), width_(shape.width), height_(shape.height) {
  check_shape(images, "images", {-1, shape.height, shape.width, 3});
}

void ArrayDataset::read(int64_t index, std::span<uint8_t> pixels) const {
  const size_t bytes = bytes_of(width_, height_);
  std::copy_n(pixels_ + static_cast<size_t>(index) * bytes, bytes, pixels.begin());
}

std::string ArrayDataset::describe(int64_t index) const { return fmt::format("image {}", index); }

Image image_of(const uint8_t* pixels, int width, int height) {
  return {width, height, std::vector<uint8_t>(pixels, pixels + bytes_of(width, height))};
}

std::vector<Image> images_of(const ByteArray& images, const ImageShape& shape) {
  check_shape(images, "images", {-1, shape.height, shape.width, 3});
  const size_t bytes = bytes_of(shape.width, shape.height);
  std::vector<Image> result;
  for (size_t i = 0; i < static_cast<size_t>(images.shape(0)); ++i)
    result.push_back(image_of(images.data() + i * bytes, shape.width, shape.height));
  return result;
}

void copy_pixels(const Image& image, uint8_t* pixels) { std::ranges::copy(image.pixels, pixels); }

}  // namespace combiner

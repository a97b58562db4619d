#include "dataset/image_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "error.h"
#include "image/read_image.h"
#include "image/resize.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

class ImageFiles : public Dataset {
 public:
  ImageFiles(std::vector<fs::path> paths, int width, int height, bool resize)
      : paths_(std::move(paths)), width_(width), height_(height), resize_(resize) {}

  int64_t size() const override { return static_cast<int64_t>(paths_.size()); }
  int width() const override { return width_; }
  int height() const override { return height_; }

  void read(int64_t index, std::span<uint8_t> pixels) const override {
    assert(pixels.size() == size_t{3} * width_ * height_);
    const fs::path& path = paths_[static_cast<size_t>(index)];
    Image image = read_image(path);
    if (image.width != width_ || image.height != height_) {
      if (!resize_) {
        throw Error(
            fmt::format("{}: has {}x{} pixels; expected {}x{}, the model's size; "
                        "use --resize to cut out its centre and resample it",
                        path.string(), image.width, image.height, width_, height_));
      }
      image = resize_to(image, width_, height_);
    }
    std::ranges::copy(image.pixels, pixels.begin());
  }

  std::string describe(int64_t index) const override {
    return paths_[static_cast<size_t>(index)].string();
  }

 private:
  std::vector<fs::path> paths_;
  int width_;
  int height_;
  bool resize_;
};

}  // namespace

std::unique_ptr<Dataset> open_image_files(std::vector<fs::path> paths,
                                          const DatasetOptions& options) {
  return std::make_unique<ImageFiles>(std::move(paths), options.width, options.height,
                                      options.resize);
}

}  // namespace combiner

#include "dataset/image_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "combiner/error.h"
#include "image/read_image.h"
#include "image/resize.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

class ImageFiles : public Dataset {
 public:
  ImageFiles(fs::path folder, std::vector<std::string> names, const DatasetOptions& options)
      : folder_(std::move(folder)),
        names_(std::move(names)),
        width_(options.width),
        height_(options.height),
        resize_(options.resize) {}

  int64_t size() const override { return static_cast<int64_t>(names_.size()); }
  int width() const override { return width_; }
  int height() const override { return height_; }

  void read(int64_t index, std::span<uint8_t> pixels) const override {
    assert(pixels.size() == size_t{3} * width_ * height_);
    const fs::path path = path_of(index);
    Image image = read_image(path);
    if (image.width != width_ || image.height != height_) {
      if (!resize_) {
        throw Error(
            fmt::format("{}: has {}x{} pixels; expected {}x{}, the size needed; "
                        "use --resize to cut out its centre and resample it",
                        path.string(), image.width, image.height, width_, height_));
      }
      image = resize_to(image, width_, height_);
    }
    std::ranges::copy(image.pixels, pixels.begin());
  }

  std::string describe(int64_t index) const override { return path_of(index).string(); }

 private:
  fs::path path_of(int64_t index) const { return folder_ / names_[static_cast<size_t>(index)]; }

  fs::path folder_;
  std::vector<std::string> names_;  // without the folder, to save memory: may be a million names
  int width_;
  int height_;
  bool resize_;
};

}  // namespace

std::unique_ptr<Dataset> open_image_files(fs::path folder, std::vector<std::string> names,
                                          const DatasetOptions& options) {
  return std::make_unique<ImageFiles>(std::move(folder), std::move(names), options);
}

}  // namespace combiner

#include "dataset/image_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <mutex>
#include <utility>

#include "base/plural.h"
#include "base/thread_team.h"
#include "combiner/error.h"
#include "dataset/limit.h"
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

// Checks pictures until as many as wanted can be used. Returns why pictures can't be used; empty
// for those that can, or are not checked.
std::vector<std::string> check(const ImageFiles& pictures, const fs::path& folder,
                               const DatasetOptions& options) {
  const int64_t wanted = limited_size(pictures, options.checked);
  std::vector<std::string> problems(static_cast<size_t>(pictures.size()));
  std::mutex mutex;  // guards what follows
  int64_t done = 0, good = 0, count = 0;
  ThreadTeam team(options.threads);
  const auto check_one = [&](int64_t index) {
    std::vector<uint8_t> pixels(size_t{3} * static_cast<size_t>(pictures.width()) *
                                static_cast<size_t>(pictures.height()));
    try {
      pictures.read(index, pixels);
    } catch (const Error& error) {
      if (!options.on_bad)
        throw Error(fmt::format("{}{}", error.what(),
                                count > 1 ? "; --skip-bad leaves such pictures out" : ""));
      problems[static_cast<size_t>(index)] = error.what();
    }
    const std::lock_guard lock(mutex);
    ++done;
    good += problems[static_cast<size_t>(index)].empty();
    if (options.checking_pictures) options.checking_pictures(folder, done, count);
  };
  while (good < wanted && count < pictures.size()) {
    const int64_t first = count;
    count = std::min(first + wanted - good, pictures.size());
    team.for_each(count - first, [&](int, int64_t index) { check_one(first + index); });
  }
  return problems;
}

}  // namespace

std::unique_ptr<Dataset> open_image_files(fs::path folder, std::vector<std::string> names,
                                          const DatasetOptions& options) {
  if (options.width < 1 || options.height < 1)
    throw Error(
        fmt::format("{}: pictures need a size to be read at; expected a width and a height "
                    "of 1 or more, not {}x{}",
                    folder.string(), options.width, options.height));
  const std::vector<std::string> problems =
      check(ImageFiles(folder, names, options), folder, options);
  std::vector<std::string> good;
  for (size_t i = 0; i < names.size(); ++i) {
    if (problems[i].empty())
      good.push_back(std::move(names[i]));
    else
      options.on_bad(problems[i]);
  }
  if (good.empty())
    throw Error(fmt::format("{}: none of {} can be used", folder.string(),
                            plural(std::ssize(names), "picture")));
  return std::make_unique<ImageFiles>(std::move(folder), std::move(good), options);
}

}  // namespace combiner

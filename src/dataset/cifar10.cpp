#include "dataset/cifar10.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/file_kind.h"
#include "base/plural.h"
#include "base/read_file.h"
#include "combiner/error.h"
#include "dataset/batch_files.h"
#include "dataset/planes.h"
#include "image/resize.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

constexpr int kSide = 32;
constexpr int kPlaneBytes = kSide * kSide;
constexpr int kRecordBytes = 1 + 3 * kPlaneBytes;
constexpr int kLabels = 10;
constexpr uint64_t kMaxBatchBytes = uint64_t{1} << 32;

struct Batch {
  fs::path path;
  std::vector<uint8_t> records;  // [size, kRecordBytes]

  int64_t size() const { return static_cast<int64_t>(records.size()) / kRecordBytes; }
};

Batch read_batch(const fs::path& path) {
  Batch batch{path, read_file(path, kMaxBatchBytes)};
  // A label is at most 9, so files of other kinds begin with something else.
  const std::string kind = file_kind(std::as_bytes(std::span(batch.records)));
  if (batch.records.front() >= kLabels && !kind.empty())
    throw Error(fmt::format("{}: is not a CIFAR-10 batch; it is {}; {}", path.string(), kind,
                            kCifar10Download));
  const size_t remainder = batch.records.size() % kRecordBytes;
  if (remainder != 0) {
    throw Error(
        fmt::format("{}: has {}: {} of {} bytes and a remainder of {}; it is truncated or not "
                    "CIFAR-10's binary version",
                    path.string(), plural(std::ssize(batch.records), "byte"),
                    plural(batch.size(), "record"), kRecordBytes, remainder));
  }
  for (int64_t record = 0; record < batch.size(); ++record) {
    const int label = batch.records[static_cast<size_t>(record * kRecordBytes)];
    if (label >= kLabels) {
      throw Error(
          fmt::format("{}: record {} has the label {}; expected 0 to {}; is this CIFAR-10's "
                      "binary version?",
                      path.string(), record, label, kLabels - 1));
    }
  }
  return batch;
}

constexpr std::string_view kPrefix = "data_batch_";
constexpr std::string_view kExtension = ".bin";
constexpr int kTrainBatches = 5;

// Sorted by number.
std::vector<fs::path> train_batches(const fs::path& folder) {
  return numbered_files(folder, kPrefix, kExtension);
}

fs::path test_batch(const fs::path& folder) { return folder / "test_batch.bin"; }

class Cifar10 : public Dataset {
 public:
  Cifar10(const std::vector<fs::path>& paths, int width, int height)
      : width_(width), height_(height) {
    for (const fs::path& path : paths) {
      batches_.push_back(read_batch(path));
      size_ += batches_.back().size();
    }
  }

  int64_t size() const override { return size_; }
  int width() const override { return width_; }
  int height() const override { return height_; }

  void read(int64_t index, std::span<uint8_t> pixels) const override {
    assert(pixels.size() == size_t{3} * width_ * height_);
    if (width_ == kSide && height_ == kSide) {
      planes_to_pixels(planes(find(index)), pixels);
      return;
    }
    Image image{kSide, kSide, std::vector<uint8_t>(3 * kPlaneBytes)};
    planes_to_pixels(planes(find(index)), image.pixels);
    std::ranges::copy(resize_to(image, width_, height_).pixels, pixels.begin());
  }

  std::string describe(int64_t index) const override {
    const auto [batch, record] = find(index);
    return fmt::format("{} record {}", batch->path.string(), record);
  }

  std::optional<int64_t> label(int64_t index) const override {
    const auto [batch, record] = find(index);
    return batch->records[static_cast<size_t>(record * kRecordBytes)];
  }

 private:
  struct Place {
    const Batch* batch;
    int64_t record;
  };

  Place find(int64_t index) const {
    assert(index >= 0 && index < size_);
    const Batch* batch = batches_.data();
    for (; index >= batch->size(); ++batch) index -= batch->size();
    return {batch, index};
  }

  static std::span<const uint8_t> planes(const Place& place) {
    return std::span(place.batch->records)
        .subspan(static_cast<size_t>(place.record * kRecordBytes + 1), 3 * kPlaneBytes);
  }

  int width_;
  int height_;
  std::vector<Batch> batches_;
  int64_t size_ = 0;
};

}  // namespace

bool holds_cifar10(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(test_batch(folder), ignored) || !train_batches(folder).empty();
}

std::vector<fs::path> cifar10_files(const fs::path& path, Split split) {
  std::error_code ignored;  // if the path can't be examined, reading it fails with a message
  if (!fs::is_directory(path, ignored)) return {path};
  if (split == Split::test) return {test_batch(path)};
  std::vector<fs::path> paths = train_batches(path);
  if (paths.empty()) {
    throw Error(fmt::format("{}: has no train split; expected data_batch_*.bin", path.string()));
  }
  return paths;
}

std::unique_ptr<Dataset> open_cifar10(const fs::path& path, const DatasetOptions& options) {
  const int width = options.width > 0 ? options.width : kSide;
  const int height = options.height > 0 ? options.height : kSide;
  if (!options.resize && (width != kSide || height != kSide)) {
    throw Error(
        fmt::format("{}: has images of {}x{} pixels; expected {}x{}, the size needed; "
                    "use --resize to resample them",
                    path.string(), kSide, kSide, width, height));
  }
  const std::vector<fs::path> batches = cifar10_files(path, options.split);
  auto images = std::make_unique<Cifar10>(batches, width, height);
  std::error_code ignored;
  if (options.split == Split::train && fs::is_directory(path, ignored)) {
    const auto missing = missing_files(batches, kPrefix, kExtension, kTrainBatches);
    if (!missing.empty() && options.notice)
      options.notice(fmt::format("{}: {}; CIFAR-10 has more: {} missing", path.string(),
                                 plural(images->size(), "image"), fmt::join(missing, ", ")));
  }
  return images;
}

}  // namespace combiner

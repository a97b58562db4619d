#include "dataset/cifar10.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "error.h"
#include "image/resize.h"
#include "read_file.h"

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
  const size_t remainder = batch.records.size() % kRecordBytes;
  if (remainder != 0) {
    throw Error(
        fmt::format("{}: has {} bytes: {} records of {} bytes and a remainder of {}; it is "
                    "truncated or not CIFAR-10's binary version",
                    path.string(), batch.records.size(), batch.size(), kRecordBytes, remainder));
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

// k of data_batch_k.bin.
std::optional<int> batch_number(const fs::path& path) {
  constexpr std::string_view kPrefix = "data_batch_";
  const std::string stem = path.stem().string();
  if (path.extension() != ".bin" || !stem.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = std::string_view(stem).substr(kPrefix.size());
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

// The train batches in the order of their numbers.
std::vector<fs::path> train_batches(const fs::path& folder) {
  std::vector<std::pair<int, fs::path>> numbered;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (const auto number = batch_number(entry.path()))
        numbered.emplace_back(*number, entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(
        fmt::format("{}: can't list the folder: {}", folder.string(), error.code().message()));
  }
  std::ranges::sort(numbered);
  std::vector<fs::path> paths;
  for (auto& [number, path] : numbered) paths.push_back(std::move(path));
  return paths;
}

fs::path test_batch(const fs::path& folder) { return folder / "test_batch.bin"; }

std::vector<fs::path> batches_of(const fs::path& path, Split split) {
  std::error_code ignored;  // a path that can't be looked at can't be read either
  if (!fs::is_directory(path, ignored)) return {path};
  if (split == Split::test) return {test_batch(path)};
  std::vector<fs::path> paths = train_batches(path);
  if (paths.empty()) {
    throw Error(fmt::format("{}: has no train split; expected data_batch_*.bin", path.string()));
  }
  return paths;
}

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
      interleave(find(index), pixels);
      return;
    }
    Image image{kSide, kSide, std::vector<uint8_t>(3 * kPlaneBytes)};
    interleave(find(index), image.pixels);
    std::ranges::copy(resize_to(image, width_, height_).pixels, pixels.begin());
  }

  std::string describe(int64_t index) const override {
    const auto [batch, record] = find(index);
    return fmt::format("{} record {}", batch->path.string(), record);
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

  static void interleave(const Place& place, std::span<uint8_t> pixels) {
    const uint8_t* planes =
        &place.batch->records[static_cast<size_t>(place.record * kRecordBytes + 1)];
    for (size_t pixel = 0; pixel < kPlaneBytes; ++pixel) {
      for (size_t channel = 0; channel < 3; ++channel) {
        pixels[3 * pixel + channel] = planes[channel * kPlaneBytes + pixel];
      }
    }
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

std::unique_ptr<Dataset> open_cifar10(const fs::path& path, const DatasetOptions& options) {
  if (!options.resize && (options.width != kSide || options.height != kSide)) {
    throw Error(
        fmt::format("{}: has images of {}x{} pixels; expected {}x{}, the model's size; "
                    "use --resize to resample them",
                    path.string(), kSide, kSide, options.width, options.height));
  }
  return std::make_unique<Cifar10>(batches_of(path, options.split), options.width, options.height);
}

}  // namespace combiner

#include "dataset/npz_images.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/plural.h"
#include "combiner/error.h"
#include "dataset/batch_files.h"
#include "dataset/npy_header.h"
#include "dataset/planes.h"
#include "dataset/zip_member.h"
#include "image/resize.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

constexpr const char* kMember = "data.npy";
constexpr const char* kLabels = "labels.npy";
constexpr std::string_view kPrefix = "train_data_batch_";
constexpr std::string_view kExtension = ".npz";

// NumPy writes |u1 for unsigned bytes and reads other names of theirs, which other programs write.
// The order of a single byte means nothing.
bool is_bytes(std::string_view dtype) {
  if (!dtype.empty() && std::string_view("|<>=").find(dtype[0]) != std::string_view::npos)
    dtype.remove_prefix(1);
  return dtype == "u1" || dtype == "B" || dtype == "uint8" || dtype == "ubyte";
}

NpyHeader read_header(const ZipMember& data) {
  std::vector<uint8_t> bytes(std::min<uint64_t>(kMostNpyHeaderBytes, data.size()));
  data.read(0, bytes);
  NpyHeader header = parse_npy_header(bytes, data.where());
  if (!is_bytes(header.dtype))
    throw Error(fmt::format("{}: has the dtype {}; expected |u1, unsigned bytes", data.where(),
                            header.dtype));
  if (header.fortran_order)
    throw Error(fmt::format("{}: is in Fortran's order; expected C's, a record after the other",
                            data.where()));
  return header;
}

// The side of the square image whose three planes take `bytes` bytes; 0 if there is none.
int side_of(int64_t bytes) {
  if (bytes <= 0 || bytes > kMaxImageBytes) return 0;
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(bytes) / 3)));
  return int64_t{3} * side * side == bytes ? side : 0;
}

// How an array has its integers.
struct IntegerType {
  size_t bytes;
  bool is_signed, is_big_endian;
};

std::optional<IntegerType> integer_type(std::string_view dtype) {
  if (dtype.size() != 3 || std::string_view("<>|=").find(dtype[0]) == std::string_view::npos ||
      (dtype[1] != 'i' && dtype[1] != 'u') ||
      std::string_view("1248").find(dtype[2]) == std::string_view::npos)
    return std::nullopt;
  return IntegerType{static_cast<size_t>(dtype[2] - '0'), dtype[1] == 'i', dtype[0] == '>'};
}

int64_t integer(const uint8_t* bytes, const IntegerType& type) {
  uint64_t value = 0;
  for (size_t i = 0; i < type.bytes; ++i)
    value = value << 8 | bytes[type.is_big_endian ? i : type.bytes - 1 - i];
  const size_t spare = 64 - 8 * type.bytes;
  return type.is_signed ? static_cast<int64_t>(value << spare) >> spare
                        : static_cast<int64_t>(value);
}

// The member of labels; none unless it is there as integers, one for each record.
std::vector<int64_t> read_labels(const fs::path& path, int64_t records, const fs::path& scratch) {
  if (!has_member(path, kLabels)) return {};
  const ZipMember member(path, kLabels, scratch);
  std::vector<uint8_t> bytes(std::min<uint64_t>(kMostNpyHeaderBytes, member.size()));
  member.read(0, bytes);
  const NpyHeader header = parse_npy_header(bytes, member.where());
  const std::optional<IntegerType> type = integer_type(header.dtype);
  const bool is_one_each =
      header.shape == std::vector{records} || header.shape == std::vector{records, int64_t{1}};
  if (!type || !is_one_each ||
      member.size() != header.bytes + static_cast<uint64_t>(records) * type->bytes)
    return {};
  std::vector<uint8_t> values(static_cast<size_t>(records) * type->bytes);
  member.read(header.bytes, values);
  std::vector<int64_t> labels;
  for (size_t at = 0; at < values.size(); at += type->bytes)
    labels.push_back(integer(&values[at], *type));
  return labels;
}

// One npz file.
class Batch {
 public:
  Batch(const fs::path& path, const DatasetOptions& options)
      : path_(path.string()),
        scratch_(options.scratch),
        data_(path, kMember, options.scratch, options.checking) {
    const NpyHeader header = read_header(data_);
    side_ = header.shape.size() == 2 ? side_of(header.shape[1]) : 0;
    if (side_ == 0)
      throw Error(
          fmt::format("{}: has the shape ({}); expected (records, 3 size size), so "
                      "(records, 12288) for images of 64x64",
                      data_.where(), fmt::join(header.shape, ", ")));
    first_ = header.bytes;
    size_ = header.shape[0];
    const uint64_t present = data_.size() - first_;
    if (present % record_bytes() != 0 || present / record_bytes() != static_cast<uint64_t>(size_))
      throw Error(fmt::format("{}: has {} bytes after its header; expected {} records of {}",
                              data_.where(), present, size_, record_bytes()));
  }

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }
  int side() const { return side_; }

  // Copies record `index` to pixels [side, side, 3].
  void read(int64_t index, std::span<uint8_t> pixels) const {
    std::vector<uint8_t> planes(record_bytes());
    data_.read(first_ + static_cast<uint64_t>(index) * record_bytes(), planes);
    planes_to_pixels(planes, pixels);
  }

  std::optional<int64_t> label(int64_t index) const {
    std::call_once(labels_wanted_, [this] { labels_ = read_labels(path_, size_, scratch_); });
    if (labels_.empty()) return std::nullopt;
    return labels_[static_cast<size_t>(index)];
  }

 private:
  size_t record_bytes() const { return size_t{3} * side_ * side_; }

  std::string path_;
  fs::path scratch_;
  ZipMember data_;
  int side_ = 0;
  int64_t size_ = 0;    // records
  uint64_t first_ = 0;  // offset of the first record
  // Few uses need the labels, so they are read when they are first asked for.
  mutable std::once_flag labels_wanted_;
  mutable std::vector<int64_t> labels_;  // none if there are none
};

class NpzImages : public Dataset {
 public:
  NpzImages(const std::vector<fs::path>& paths, const DatasetOptions& options)
      : width_(options.width), height_(options.height) {
    for (const fs::path& path : paths) {
      const Batch& batch = batches_.emplace_back(path, options);
      if (width_ == 0) width_ = height_ = batch.side();
      if (!options.resize && (batch.side() != width_ || batch.side() != height_))
        throw Error(
            fmt::format("{}: has images of {}x{} pixels; expected {}x{}, the size needed; "
                        "use --resize to resample them",
                        batch.path(), batch.side(), batch.side(), width_, height_));
      size_ += batch.size();
    }
  }

  int64_t size() const override { return size_; }
  int width() const override { return width_; }
  int height() const override { return height_; }

  void read(int64_t index, std::span<uint8_t> pixels) const override {
    assert(pixels.size() == size_t{3} * width_ * height_);
    const auto [batch, record] = find(index);
    const int side = batch.side();
    if (side == width_ && side == height_) return batch.read(record, pixels);
    Image image{side, side, std::vector<uint8_t>(size_t{3} * side * side)};
    batch.read(record, image.pixels);
    std::ranges::copy(resize_to(image, width_, height_).pixels, pixels.begin());
  }

  std::string describe(int64_t index) const override {
    const auto [batch, record] = find(index);
    return fmt::format("{} record {}", batch.path(), record);
  }

  std::optional<int64_t> label(int64_t index) const override {
    const auto [batch, record] = find(index);
    return batch.label(record);
  }

 private:
  struct Place {
    const Batch& batch;
    int64_t record;
  };

  Place find(int64_t index) const {
    assert(index >= 0 && index < size_);
    auto batch = batches_.begin();
    for (; index >= batch->size(); ++batch) index -= batch->size();
    return {*batch, index};
  }

  int width_;
  int height_;
  std::deque<Batch> batches_;  // a deque, because a Batch can't be moved
  int64_t size_ = 0;
};

}  // namespace

std::vector<fs::path> npz_files(const fs::path& folder, Split split) {
  if (split == Split::train) return numbered_files(folder, kPrefix, kExtension);
  const fs::path file = folder / "val_data.npz";
  std::error_code ignored;  // if the file can't be examined, it can't be read either
  return fs::exists(file, ignored) ? std::vector{file} : std::vector<fs::path>();
}

bool holds_npz(const fs::path& folder) {
  return !npz_files(folder, Split::test).empty() || !npz_files(folder, Split::train).empty();
}

std::unique_ptr<Dataset> open_npz(const fs::path& path, const DatasetOptions& options) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    return std::make_unique<NpzImages>(std::vector{path}, options);
  const std::vector<fs::path> files = npz_files(path, options.split);
  if (files.empty())
    throw Error(fmt::format("{}: has no {}", path.string(),
                            options.split == Split::train
                                ? "train split; expected train_data_batch_*.npz"
                                : "test split; expected val_data.npz"));
  auto images = std::make_unique<NpzImages>(files, options);
  const auto missing = options.split == Split::train ? missing_files(files, kPrefix, kExtension, 0)
                                                     : std::vector<std::string>();
  if (!missing.empty() && options.notice)
    options.notice(fmt::format("{}: {}; {} missing", path.string(), plural(images->size(), "image"),
                               fmt::join(missing, ", ")));
  return images;
}

}  // namespace combiner

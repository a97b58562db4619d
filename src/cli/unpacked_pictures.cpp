#include "cli/unpacked_pictures.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/output_file.h"
#include "cli/interrupt.h"
#include "cli/paths.h"
#include "cli/say.h"
#include "cli/tar.h"
#include "cli/unpacked_names.h"
#include "combiner/error.h"
#include "dataset/npz_writer.h"
#include "dataset/planes.h"
#include "image/png.h"
#include "image/write_png.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int kCifarSide = 32;
constexpr int64_t kCifarLabels = 10;
// Bytes: Linux has room for a few more, but a file has a longer name until it is finished.
constexpr size_t kLongestPath = 4080;

void require_size(const std::string& output, std::span<const CodedPicture> pictures,
                  const std::vector<size_t>& indices, int width, int height) {
  for (const size_t index : indices)
    if (const CodedPicture& picture = pictures[index];
        picture.width != width || picture.height != height)
      throw Error(
          fmt::format("{}: picture {} is {}x{} pixels; expected {}x{}; unpack to a folder or "
                      "a .tar",
                      output, index, picture.width, picture.height, width, height));
}

void say_missing_labels(const std::string& output, const CodedPicture& first) {
  if (!first.label) say("{}: there are no labels; all records get 0\n", output);
}

class Folder : public UnpackedPictures {
 public:
  Folder(const std::string& output, std::span<const CodedPicture> pictures,
         const std::vector<size_t>& indices)
      : folder_(output), names_(unpacked_names(pictures)) {
    for (const size_t index : indices) {
      constexpr const char* kHint = "unpack to a .npz, or the others with --only";
      check_length(names_[index], kHint);
      if (const size_t size = (folder_ / names_[index]).native().size(); size > kLongestPath)
        throw Error(fmt::format("picture {}: its path in {} has {} bytes; expected at most {}; {}",
                                index, output, size, kLongestPath, kHint));
    }
    const bool is_new = make_folder(folder_);
    OutputFile can_be_written(folder_ / ".combiner");
    if (is_new) return;
    std::set<std::string> own;
    for (const size_t index : indices) own.insert(names_[index]);
    say_others(folder_, [&](const std::string& name) { return own.contains(name); });
  }

  void add(size_t index, const Image& picture) override {
    const fs::path path = folder_ / names_[index];
    make_folder(path.parent_path());
    write_png(path, picture);
  }
  bool keeps_unfinished() const override { return true; }

 private:
  fs::path folder_;
  std::vector<std::string> names_;
};

class Cifar10File : public UnpackedPictures {
 public:
  Cifar10File(const std::string& output, std::span<const CodedPicture> pictures,
              const std::vector<size_t>& indices)
      : pictures_(pictures), file_(output) {
    require_size(output, pictures, indices, kCifarSide, kCifarSide);
    for (const size_t index : indices)
      if (const auto label = pictures[index].label; label && *label >= kCifarLabels)
        throw Error(
            fmt::format("{}: picture {} has the label {}; CIFAR-10's are 0 to {}; unpack to "
                        "a .npz",
                        output, index, *label, kCifarLabels - 1));
    say_missing_labels(output, pictures[indices.front()]);
  }

  void add(size_t index, const Image& picture) override {
    std::vector<uint8_t> record(1 + picture.pixels.size());
    record[0] = static_cast<uint8_t>(pictures_[index].label.value_or(0));
    pixels_to_planes(picture.pixels, std::span(record).subspan(1));
    file_.write(std::as_bytes(std::span(record)));
  }
  void finish() override { file_.commit(); }

 private:
  std::span<const CodedPicture> pictures_;
  OutputFile file_;
};

class NpzFile : public UnpackedPictures {
 public:
  NpzFile(const std::string& output, std::span<const CodedPicture> pictures,
          const std::vector<size_t>& indices, const std::atomic<bool>& interrupted)
      : pictures_(pictures),
        interrupted_(interrupted),
        writer_(output, side_of(output, pictures, indices), NpzCompression::stored) {
    say_missing_labels(output, pictures[indices.front()]);
  }

  void add(size_t index, const Image& picture) override {
    writer_.add(picture.pixels, pictures_[index].label.value_or(0));
  }
  void finish() override {
    if (!writer_.finish(cancel_if(interrupted_)))
      throw Interrupted("interrupted: nothing is written");
  }

 private:
  // That of all pictures.
  static int side_of(const std::string& output, std::span<const CodedPicture> pictures,
                     const std::vector<size_t>& indices) {
    const int side = pictures[indices.front()].width;
    require_size(output, pictures, indices, side, side);
    return side;
  }

  std::span<const CodedPicture> pictures_;
  const std::atomic<bool>& interrupted_;
  NpzWriter writer_;
};

class TarFile : public UnpackedPictures {
 public:
  TarFile(const std::string& output, std::span<const CodedPicture> pictures,
          const std::vector<size_t>& indices)
      : names_(unpacked_names(pictures)),
        file_(output),
        writer_([this](std::span<const std::byte> bytes) { file_.write(bytes); }) {
    for (const size_t index : indices)
      if (!fits_tar(names_[index]))
        throw Error(fmt::format("{}: the name {} is too long for a tar archive; unpack to a folder",
                                output, names_[index]));
  }

  void add(size_t index, const Image& picture) override {
    writer_.add(names_[index], encode_png(picture));
  }
  void finish() override {
    writer_.finish();
    file_.commit();
  }

 private:
  std::vector<std::string> names_;
  OutputFile file_;
  TarWriter writer_;
};

}  // namespace

Unpacking unpacking_of(const std::string& output) {
  std::error_code ignored;  // if the path can't be examined, writing it fails with a message
  if (output.ends_with('/') || fs::is_directory(output, ignored)) return Unpacking::folder;
  const std::string extension = fs::path(output).extension().string();
  if (extension == ".bin") return Unpacking::cifar10;
  if (extension == ".npz") return Unpacking::npz;
  if (extension == ".tar") return Unpacking::tar;
  throw CLI::ValidationError(
      "--output",
      fmt::format("{} is not a folder, ending in /, and ends in none of .bin, .npz and .tar",
                  output));
}

std::unique_ptr<UnpackedPictures> unpack_to(const std::string& output,
                                            std::span<const CodedPicture> pictures,
                                            const std::vector<size_t>& indices,
                                            const std::atomic<bool>& interrupted) {
  switch (unpacking_of(output)) {
    case Unpacking::folder:
      return std::make_unique<Folder>(output, pictures, indices);
    case Unpacking::cifar10:
      return std::make_unique<Cifar10File>(output, pictures, indices);
    case Unpacking::npz:
      return std::make_unique<NpzFile>(output, pictures, indices, interrupted);
    case Unpacking::tar:
      break;
  }
  return std::make_unique<TarFile>(output, pictures, indices);
}

}  // namespace combiner

// Images for training and evaluation, whatever their storage.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace combiner {

// A numbered set of RGB images of one size.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  virtual int width() const = 0;
  virtual int height() const = 0;

  // Copies image `index` (0 <= index < size()) to `pixels` [height, width, 3]: red, green, blue.
  // Thread-safe. Throws Error if the image cannot be read or is malformed.
  virtual void read(int64_t index, std::span<uint8_t> pixels) const = 0;

  // Says where image `index` comes from, for messages and tables: a file and record number, or the
  // path of a picture.
  virtual std::string describe(int64_t index) const = 0;

  // The image's class, if the data set knows it.
  virtual std::optional<int64_t> label(int64_t /*index*/) const { return std::nullopt; }
};

enum class Split { train, test };

// Called now and then while a large file is read through to check it: with its path, the bytes done
// and those in all, which are not 0. What it throws ends the opening of the data set.
using CheckingFile =
    std::function<void(const std::filesystem::path& file, int64_t bytes, int64_t total)>;

// Called now and then while the pictures of a folder are decoded to check them: with the folder,
// the pictures done and those in all. Called by the threads that decode, by one at a time. What it
// throws ends the opening of the data set.
using CheckingPictures =
    std::function<void(const std::filesystem::path& folder, int64_t pictures, int64_t total)>;

// Called, by one thread at a time, with why an image is left out: it can't be read, or is of
// another size than is needed. The text begins with the name of the image's file.
using OnBadImage = std::function<void(const std::string& why)>;

struct DatasetOptions {
  Split split = Split::test;
  int width = 0;  // the size needed, such as a model's; 0 for that of CIFAR-10 or of an npz
  int height = 0;
  // Whether to cut the largest centred part of the right proportions out of images of other sizes
  // and to resample it, rather than to refuse them.
  bool resize = false;
  // The folder for data that must be decompressed before it can be read (npz).
  std::filesystem::path scratch = "/var/tmp";
  CheckingFile checking = {};
  CheckingPictures checking_pictures = {};
  int threads = 1;  // that check pictures
  // How many usable pictures are enough; without it, all are checked.
  std::optional<int64_t> checked = std::nullopt;
  // Called in order with each picture that can't be used; the data set is of the others. Without
  // it, such a picture is an Error.
  OnBadImage on_bad = {};
  // Called with a line of text for what is unusual but no error, such as files that are ignored.
  std::function<void(const std::string& line)> notice = {};
};

// Opens one of:
//   - CIFAR-10 in its binary version: a folder with data_batch_*.bin (train) and test_batch.bin
//     (test), or one such file, which serves as either split;
//   - downsampled ImageNet: a folder with train_data_batch_*.npz (train) and val_data.npz (test),
//     or one .npz file, which serves as either split;
//   - a folder of pictures, which serves as either split;
//   - a folder with train/ (train) and test/, valid/ or val/ (test; the first that exists), or with
//     train_64x64/ and valid_64x64/ (if that is the requested size), each a folder of pictures;
//   - a single picture.
// A folder of pictures may have folders, such as one for each class; they are searched to any
// depth. Pictures are told by their first bytes, not by their names, and sorted by the bytes of
// their paths relative to the folder. Links are followed, but no folder is read twice. Hidden files
// are left out. Other files, and what can't be read, are left out too, which options.notice is
// told: "FOLDER: 20 images, 3 ignored (why: names)". It is also told of pictures and folders beside
// train/ and its like, and of missing batches of the first two kinds.
// Throws Error if `path` is none of these, lacks the split, is damaged, or has no image that can be
// used. Everything is checked here: npz files by their checksums, pictures by decoding them.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path,
                                      const DatasetOptions& options);

struct ValidationData {
  std::filesystem::path path;  // of the folder or file
  std::unique_ptr<Dataset> images;
};

// Opens the images that data to train on has for measuring on meanwhile: of the folders above, the
// first that exists of valid/, val/, valid_64x64/ (if that is the requested size) and test/, or
// val_data.npz. nullopt if there is none; CIFAR-10 has none, because its test images are for the
// end. Ignores options.split. Throws Error if there is nothing at `path`, or if the images are
// damaged or none of them can be used.
std::optional<ValidationData> open_validation(const std::filesystem::path& path,
                                              const DatasetOptions& options);

}  // namespace combiner

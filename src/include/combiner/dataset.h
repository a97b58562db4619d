// Images to train on and to measure, wherever they are kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
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

  // Copies image `index` (0 <= index < size()) to pixels [height, width, 3], red green blue. Error
  // if it can't be read or isn't as it should be. Thread-safe.
  virtual void read(int64_t index, std::span<uint8_t> pixels) const = 0;

  // Where image `index` comes from, for messages and tables: a file and record, or a picture's
  // path.
  virtual std::string describe(int64_t index) const = 0;
};

enum class Split { train, test };

struct DatasetOptions {
  Split split = Split::test;
  int width = 0;  // the model's size
  int height = 0;
  // Cut and resample images of another size (resize_to) instead of refusing them.
  bool resize = false;
  // The folder for what can't be read without being decompressed first (npz).
  std::filesystem::path scratch = "/var/tmp";
};

// Opens
//   - CIFAR-10 in its binary version: a folder with data_batch_*.bin (train) and test_batch.bin
//     (test), or one such file, which serves as either split;
//   - downsampled ImageNet: a folder with train_data_batch_*.npz (train) and val_data.npz (test),
//     or one .npz file, which serves as either split;
//   - a folder of pictures, which serves as either split;
//   - a folder with train/ (train) and test/, valid/ or val/ (test, the first of them that is
//     there), or with train_64x64/ and valid_64x64/ (if that is the wanted size), each a folder of
//     pictures;
//   - a single picture.
// Error if `path` is nothing of the kind, lacks the split, or is damaged. CIFAR-10 is checked as a
// whole here, an npz's headers here and its records when they are read, as each picture is.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path,
                                      const DatasetOptions& options);

}  // namespace combiner

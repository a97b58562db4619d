// Writes images and labels as an npz file of the form that dataset/npz_images.h reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "dataset/scratch_file.h"

namespace combiner {

enum class NpzCompression { stored, deflated };

// Records are kept in a ScratchFile beside `path` until all are there, since the archive says
// first how many they are; memory holds no more than the labels, disk once more than the file. The
// same records make the same file, byte for byte. Every failure is an Error.
class NpzWriter {
 public:
  NpzWriter(std::filesystem::path path, int size, NpzCompression compression);

  // pixels [size, size, 3], red green blue.
  void add(std::span<const uint8_t> pixels, int64_t label);

  int64_t records() const { return static_cast<int64_t>(labels_.size()); }

  // Writes the file, beside `path` first and then renamed, so that no partial file is left:
  // data.npy of bytes [records, 3 size size], labels.npy of 64-bit integers [records]. Asks
  // `cancelled` now and then; if it says true, nothing is written and false returned. To be called
  // once, last.
  bool finish(const std::function<bool()>& cancelled);

 private:
  std::filesystem::path path_;
  int size_;
  NpzCompression compression_;
  ScratchFile data_;  // data.npy
  std::vector<uint8_t> planes_;
  std::vector<int64_t> labels_;
};

}  // namespace combiner

// Writes images and labels to an npz file in the format that dataset/npz_images.h reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "combiner/cancel.h"
#include "dataset/scratch_file.h"

namespace combiner {

enum class NpzCompression { stored, deflated };

// The array's header states the number of records, which is known only at the end. So records are
// collected in a ScratchFile in the folder of `path`. Memory holds only the labels; disk holds the
// data once more besides the finished file. Equal records produce files that are equal byte for
// byte. Every failure is an Error.
class NpzWriter {
 public:
  NpzWriter(std::filesystem::path path, int size, NpzCompression compression);

  // pixels [size, size, 3] in the order red, green, blue.
  void add(std::span<const uint8_t> pixels, int64_t label);

  int64_t records() const { return static_cast<int64_t>(labels_.size()); }

  // Writes the file: data.npy of bytes [records, 3 size size] and labels.npy of 64-bit integers
  // [records]. Writes under a temporary name and then renames, so no partial file is ever left
  // behind; a link is followed. Returns when the file is on the disk. Asks `cancel` from time to
  // time; once it says so, `finish` writes nothing and returns false. Call it once, as the last
  // call.
  bool finish(const Cancel& cancel);

 private:
  std::filesystem::path path_;
  NpzCompression compression_;
  ScratchFile data_;  // data.npy
  std::vector<uint8_t> planes_;
  std::vector<int64_t> labels_;
};

}  // namespace combiner

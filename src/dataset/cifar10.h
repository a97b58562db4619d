// CIFAR-10 in its binary version: files of 3,073-byte records. A record is a label byte (0 to 9)
// followed by the red, green and blue planes of 32 x 32 bytes each.
#pragma once

#include <filesystem>
#include <memory>

#include "combiner/dataset.h"

namespace combiner {

// Says where to get this version, for messages about others.
inline constexpr const char* kCifar10Download =
    "CIFAR-10 is read from its binary version: the folder cifar-10-batches-bin of "
    "cifar-10-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html";

// True if the folder contains test_batch.bin or any data_batch_*.bin.
bool holds_cifar10(const std::filesystem::path& folder);

// A file itself, or those of a folder's split. Throws Error if it has no training files.
std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& path, Split split);

// Reads a single file or, from a folder, the batches of the split into memory; data_batch_*.bin are
// sorted by number. Batches that are missing of the usual five are an options' notice. Throws Error
// if the split has none, a file's size is not a whole number of
// records, a label exceeds 9, or the wanted size is not 32 x 32 and `resize` is off.
std::unique_ptr<Dataset> open_cifar10(const std::filesystem::path& path,
                                      const DatasetOptions& options);

}  // namespace combiner

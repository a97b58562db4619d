// CIFAR-10 in its binary version: files of 3,073-byte records, each a label byte (0 to 9) and the
// red, the green and the blue plane of 32 x 32 bytes.
#pragma once

#include <filesystem>
#include <memory>

#include "combiner/dataset.h"

namespace combiner {

// True if the folder has a data_batch_*.bin or test_batch.bin.
bool holds_cifar10(const std::filesystem::path& folder);

// Reads a folder's batches of the split, data_batch_*.bin in the order of their numbers, or a
// single file, into memory. Error on a missing batch, a size that isn't a whole number of records,
// a label above 9, or a wanted size other than 32 x 32 without `resize`.
std::unique_ptr<Dataset> open_cifar10(const std::filesystem::path& path,
                                      const DatasetOptions& options);

}  // namespace combiner

// Downsampled ImageNet in the format that Chrabaszcz, Loshchilov and Hutter (arXiv 1707.08819)
// distribute and that tools/make_imagenet64 writes: NumPy's npz files. These are zip archives whose
// member data.npy holds bytes [records, 3 size size]. A record is the red, green and blue plane of
// a square image, each row by row. A member labels.npy with a 64-bit integer for
// each record is used for labels; others (mean) are ignored.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The files of a split in a folder: train_data_batch_*.npz sorted by number for train, val_data.npz
// for test. May return an empty list. Throws Error if the folder can't be read.
std::vector<std::filesystem::path> npz_files(const std::filesystem::path& folder, Split split);

// True if the folder has any of these files.
bool holds_npz(const std::filesystem::path& folder);

// Opens a single file or a folder's files of the split, and reads them once to verify their
// checksums (a gigabyte or two a second if the disk keeps up). Records are then read on demand:
// directly from the file if the array is stored (np.savez), or from a temporary file in the
// options' `scratch` folder if it is compressed (np.savez_compressed; see ZipMember). Throws Error
// if the split is missing, if a file is not such an archive, is damaged or has no data.npy, or if
// the array's dtype, order, shape or size is wrong. Missing numbers are an options' notice. Images
// of another size than the model's are resampled with `resize` and are an Error without it.
std::unique_ptr<Dataset> open_npz(const std::filesystem::path& path, const DatasetOptions& options);

}  // namespace combiner

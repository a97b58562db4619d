// Downsampled ImageNet as Chrabaszcz, Loshchilov and Hutter (arXiv 1707.08819) distribute it, and
// as tools/make_imagenet64 makes it of any pictures: NumPy's npz files, zip archives whose member
// data.npy is of bytes [records, 3 size size], a record being the red, the green and the blue plane
// of a square image row by row. Other members (labels, mean) are not looked at.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The files of a split in a folder: train_data_batch_*.npz in the order of their numbers (train) or
// val_data.npz (test). May be empty. Error if the folder can't be read.
std::vector<std::filesystem::path> npz_files(const std::filesystem::path& folder, Split split);

// Opens a folder's files of the split, or a single file. Records are read when asked for, each from
// its place in the file where the array is stored (np.savez), from a temporary file in the options'
// `scratch` where it is compressed (np.savez_compressed; see ZipMember). Error on a missing split,
// a file that isn't such an archive, lacks data.npy, or whose array is of another dtype, order,
// shape or size than its header and the model's size say. Other sizes are resampled with `resize`.
std::unique_ptr<Dataset> open_npz(const std::filesystem::path& path, const DatasetOptions& options);

}  // namespace combiner

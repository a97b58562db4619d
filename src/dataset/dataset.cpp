#include "combiner/dataset.h"

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "combiner/error.h"
#include "dataset/cifar10.h"
#include "dataset/image_files.h"
#include "dataset/npz_images.h"
#include "image/read_image.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

Error not_understood(const fs::path& path) {
  return Error(fmt::format(
      "{}: isn't a data set of a known kind; expected CIFAR-10 in its binary version (a folder "
      "with data_batch_*.bin and test_batch.bin, or one such .bin file), downsampled ImageNet (a "
      "folder with train_data_batch_*.npz and val_data.npz, or one such .npz file), a folder of "
      "pictures, a folder with train/ and test/, valid/ or val/ of pictures, or a single picture "
      "(.png, .jpg, .bmp, .tif, .webp, .ppm, ...)",
      path.string()));
}

// The first of `names` that is a subfolder of `folder`; an empty path if none is.
fs::path first_subfolder(const fs::path& folder, std::initializer_list<std::string> names) {
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::is_directory(folder / name, ignored)) return folder / name;
  }
  return {};
}

// The subfolder of the split, or `folder` itself if it has no subfolders for splits.
fs::path split_folder(const fs::path& folder, const DatasetOptions& options) {
  const std::string sized = fmt::format("_{}x{}", options.width, options.height);
  const fs::path train = first_subfolder(folder, {"train", "train" + sized});
  const fs::path test = first_subfolder(folder, {"test", "valid", "val", "valid" + sized});
  if (train.empty() && test.empty()) return folder;
  const bool wants_train = options.split == Split::train;
  const fs::path& wanted = wants_train ? train : test;
  if (wanted.empty()) {
    throw Error(fmt::format(
        "{}: has a subfolder {}/ and no {} split; expected {}{}/", folder.string(),
        (train.empty() ? test : train).filename().string(), wants_train ? "train" : "test",
        wants_train ? "train/ or train" : "test/, valid/, val/ or valid", sized));
  }
  return wanted;
}

bool holds_npz(const fs::path& folder) {
  return !npz_files(folder, Split::test).empty() || !npz_files(folder, Split::train).empty();
}

std::unique_ptr<Dataset> open_folder(const fs::path& path, const DatasetOptions& options) {
  if (holds_cifar10(path)) return open_cifar10(path, options);
  if (holds_npz(path)) return open_npz(path, options);
  const fs::path folder = split_folder(path, options);
  std::vector<std::string> pictures = list_images(folder);
  if (pictures.empty()) throw not_understood(folder);
  return open_image_files(folder, std::move(pictures), options);
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DatasetOptions& options) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(fmt::format("{}: can't open the data set: {}", path.string(), error.message()));
  }
  if (fs::is_directory(status)) return open_folder(path, options);
  if (path.extension() == ".bin") return open_cifar10(path, options);
  if (path.extension() == ".npz") return open_npz(path, options);
  if (has_image_extension(path))
    return open_image_files(path.parent_path(), {path.filename().string()}, options);
  throw not_understood(path);
}

}  // namespace combiner

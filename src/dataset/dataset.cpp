#include "dataset/dataset.h"

#include <fmt/format.h>

#include <initializer_list>
#include <system_error>

#include "dataset/cifar10.h"
#include "dataset/image_files.h"
#include "error.h"
#include "image/read_image.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

Error not_understood(const fs::path& path) {
  return Error(fmt::format(
      "{}: isn't a data set of a known kind; expected CIFAR-10 in its binary version (a folder "
      "with data_batch_*.bin and test_batch.bin, or one such .bin file), a folder of pictures, a "
      "folder with train/ and test/, valid/ or val/ of pictures, or a single picture (.png, .jpg, "
      ".bmp, .tif, .webp, .ppm, ...)",
      path.string()));
}

// The first of `names` that is a subfolder of `folder`, else nothing.
fs::path first_subfolder(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::error_code ignored;
    if (fs::is_directory(folder / name, ignored)) return folder / name;
  }
  return {};
}

// The subfolder of a split, or `folder` itself if it isn't divided.
fs::path split_folder(const fs::path& folder, Split split) {
  const fs::path train = first_subfolder(folder, {"train"});
  const fs::path test = first_subfolder(folder, {"test", "valid", "val"});
  if (train.empty() && test.empty()) return folder;
  const fs::path& wanted = split == Split::train ? train : test;
  if (wanted.empty()) {
    throw Error(fmt::format("{}: has a subfolder {}/ and no {} split; expected {}", folder.string(),
                            (train.empty() ? test : train).filename().string(),
                            split == Split::train ? "train" : "test",
                            split == Split::train ? "train/" : "test/, valid/ or val/"));
  }
  return wanted;
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DatasetOptions& options) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(fmt::format("{}: can't open the data set: {}", path.string(), error.message()));
  }
  if (fs::is_directory(status)) {
    if (holds_cifar10(path)) return open_cifar10(path, options);
    const fs::path folder = split_folder(path, options.split);
    const std::vector<fs::path> images = list_images(folder);
    if (images.empty()) throw not_understood(folder);
    return open_image_files(images, options);
  }
  if (path.extension() == ".bin") return open_cifar10(path, options);
  if (has_image_extension(path)) return open_image_files({path}, options);
  throw not_understood(path);
}

}  // namespace combiner

#include "combiner/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/lies_in.h"
#include "combiner/error.h"
#include "dataset/cifar10.h"
#include "dataset/image_files.h"
#include "dataset/no_data_set.h"
#include "dataset/npz_images.h"
#include "dataset/picture_list.h"
#include "dataset/require_apart.h"
#include "image/read_image.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

// The first of `names` that is a subfolder of `folder`; an empty path if none is.
fs::path first_subfolder(const fs::path& folder, std::initializer_list<std::string> names) {
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::is_directory(folder / name, ignored)) return folder / name;
  }
  return {};
}

// The folders of a divided folder of pictures. Paths are empty for folders that don't exist.
struct SplitFolders {
  fs::path train, test, validation;
};

std::string size_ending(const DatasetOptions& options) {
  return fmt::format("_{}x{}", options.width, options.height);
}

SplitFolders split_folders(const fs::path& folder, const DatasetOptions& options) {
  const std::string sized = size_ending(options);
  return {first_subfolder(folder, {"train", "train" + sized}),
          first_subfolder(folder, {"test", "valid", "val", "valid" + sized}),
          first_subfolder(folder, {"valid", "val", "valid" + sized, "test"})};
}

// Whether an entry of a divided folder is the folder of a split, maybe for other sizes.
bool is_split(const std::string& name) {
  return name == "train" || name == "test" || name == "valid" || name == "val" ||
         name.starts_with("train_") || name.starts_with("valid_");
}

// Says what lies beside the folders of the splits and might be thought to be read: class folders
// and pictures.
void notice_others(const fs::path& folder, const fs::path& read, const DatasetOptions& options) {
  if (!options.notice) return;
  std::set<std::string> others;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unknown;
    const bool is_folder = entry->is_directory(unknown);
    if (name.starts_with('.') || (is_folder && is_split(name))) continue;
    if (is_folder || (entry->is_regular_file(unknown) && is_picture_file(entry->path())))
      others.insert(is_folder ? name + '/' : name);
  }
  if (others.empty()) return;
  options.notice(fmt::format("{}: images of {}/ only, {} ignored (beside it: {})", folder.string(),
                             read.filename().string(), others.size(),
                             first_names(others, std::ssize(others))));
}

// The subfolder of the split, or `folder` itself if it has no subfolders for splits.
fs::path split_folder(const fs::path& folder, const DatasetOptions& options) {
  const auto [train, test, validation] = split_folders(folder, options);
  if (train.empty() && test.empty()) return folder;
  const bool wants_train = options.split == Split::train;
  const fs::path& wanted = wants_train ? train : test;
  if (wanted.empty()) {
    throw Error(fmt::format(
        "{}: has a subfolder {}/ and no {} split; expected {}{}/", folder.string(),
        (train.empty() ? test : train).filename().string(), wants_train ? "train" : "test",
        wants_train ? "train/ or train" : "test/, valid/, val/ or valid", size_ending(options)));
  }
  notice_others(folder, wanted, options);
  return wanted;
}

std::unique_ptr<Dataset> open_pictures(const fs::path& folder, const DatasetOptions& options) {
  PictureList list = list_pictures(folder);
  if (list.ignored > 0 && options.notice) options.notice(summary(folder, list));
  if (list.names.empty()) throw no_data_set(folder);
  return open_image_files(folder, std::move(list.names), options);
}

std::unique_ptr<Dataset> open_folder(const fs::path& path, const DatasetOptions& options) {
  if (holds_cifar10(path)) return open_cifar10(path, options);
  if (holds_npz(path)) return open_npz(path, options);
  return open_pictures(split_folder(path, options), options);
}

// Throws Error if there is nothing at `path`.
fs::file_status status_of(const fs::path& path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    throw Error(fmt::format("{}: can't open the data set: {}", path.string(), error.message()));
  return status;
}

// Throws Error if there are no images.
std::unique_ptr<Dataset> require_images(std::unique_ptr<Dataset> images, const fs::path& path) {
  if (images->size() == 0) throw Error(fmt::format("{}: has no images", path.string()));
  return images;
}

std::unique_ptr<Dataset> open_any(const fs::path& path, const DatasetOptions& options) {
  const fs::file_status status = status_of(path);
  if (fs::is_directory(status)) return open_folder(path, options);
  if (!fs::is_regular_file(status))  // to open a pipe would wait for a writer
    throw Error(fmt::format("{}: is neither a file nor a folder", path.string()));
  if (path.extension() == ".bin") return open_cifar10(path, options);
  if (path.extension() == ".npz") return open_npz(path, options);
  if (is_picture_file(path) || has_image_extension(path))
    return open_image_files(path.parent_path(), {path.filename().string()}, options);
  throw no_data_set(path);
}

// Files of CIFAR-10 and npz files, or folders that are searched for pictures.
std::vector<fs::path> paths_read(const fs::path& path, const DatasetOptions& options,
                                 bool validation) {
  std::error_code ignored;  // what can't be examined can't be opened either
  if (!fs::is_directory(path, ignored)) return {path};
  if (holds_cifar10(path)) return cifar10_files(path, Split::train);
  const auto [train, test, own] = split_folders(path, options);
  std::vector<fs::path> paths = npz_files(path, Split::train);
  if (paths.empty()) paths = {train.empty() ? path : train};
  if (validation && holds_npz(path))
    std::ranges::move(npz_files(path, Split::test), std::back_inserter(paths));
  else if (validation && !train.empty() && !own.empty())
    paths.push_back(own);
  return paths;
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const fs::path& path, const DatasetOptions& options) {
  return require_images(open_any(path, options), path);
}

std::optional<ValidationData> open_validation(const fs::path& path, const DatasetOptions& options) {
  if (!fs::is_directory(status_of(path)) || holds_cifar10(path)) return std::nullopt;
  if (const std::vector<fs::path> files = npz_files(path, Split::test); !files.empty())
    return ValidationData{files.front(),
                          require_images(open_npz(files.front(), options), files.front())};
  const auto [train, test, validation] = split_folders(path, options);
  if (train.empty() || validation.empty()) return std::nullopt;
  return ValidationData{validation, open_pictures(validation, options)};
}

void require_apart(std::span<const fs::path> paths, const DatasetOptions& options,
                   bool validation) {
  std::vector<std::vector<fs::path>> read;
  for (const fs::path& path : paths) read.push_back(paths_read(path, options, validation));
  for (size_t i = 0; i < paths.size(); ++i)
    for (size_t j = 0; j < paths.size(); ++j) {
      if (i == j) continue;
      for (const fs::path& inner : read[i])
        for (const fs::path& outer : read[j])
          // A search for pictures passes over other files.
          if (fs::is_directory(inner) == fs::is_directory(outer) && lies_in(inner, outer))
            throw Error(fmt::format("{}: its images are also among those of {}; give them once",
                                    inner.string(), paths[j].string()));
    }
}

}  // namespace combiner

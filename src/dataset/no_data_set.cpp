#include "dataset/no_data_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/file_kind.h"
#include "base/lower_case.h"
#include "combiner/dataset.h"
#include "dataset/cifar10.h"
#include "dataset/npz_images.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKinds =
    "expected CIFAR-10 in its binary version (a folder with data_batch_*.bin and test_batch.bin, "
    "or one such .bin file), downsampled ImageNet (a folder with train_data_batch_*.npz and "
    "val_data.npz, or one such .npz file), a folder of pictures, a folder with train/ and test/, "
    "valid/ or val/ of pictures, or a single picture (.png, .jpg, .bmp, .tif, .webp, .ppm, ...)";

// CIFAR-10 is also offered for Python and for MATLAB, and all versions are packed.
bool is_of_cifar(const fs::path& path) {
  const std::string name = lower_case(path.filename().string());
  return name.starts_with("data_batch") || name.starts_with("test_batch") ||
         name.find("cifar") != name.npos;
}

// The entries of a folder, sorted; none if it can't be listed.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    entries.push_back(entry->path());
  std::ranges::sort(entries);
  return entries;
}

// Why files of CIFAR-10 in a folder are not read; empty if there are none.
std::string about_cifar_in(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder)) {
    if (!is_of_cifar(entry)) continue;
    const std::string kind = file_kind(entry);
    if (!kind.empty()) return fmt::format("{} is {}; {}", entry.string(), kind, kCifar10Download);
  }
  return {};
}

// What a folder holds that may have been meant; empty if it is nothing known.
std::string about_folder(const fs::path& folder) {
  if (std::string found = about_cifar_in(folder); !found.empty()) return found;
  for (const fs::path& inner : entries_of(folder)) {
    std::error_code ignored;  // what can't be examined was not meant
    if (!fs::is_directory(inner, ignored)) continue;
    if (holds_cifar10(inner) || holds_npz(inner))
      return fmt::format("{} is one, so name that", inner.string());
    if (std::string found = about_cifar_in(inner); !found.empty()) return found;
  }
  return {};
}

// Whether a kind of file belongs to a model, as one that is called cifar10.safetensors may.
bool is_of_model(std::string_view kind) { return kind == kSafetensorsKind || kind == kConfigKind; }

std::string about_file(const std::string& kind) {
  if (kind.empty()) return {};
  return fmt::format(
      "it is {}{}", kind,
      is_of_model(kind) ? "; weights are named with --model, configs with --config" : "");
}

}  // namespace

Error no_data_set(const fs::path& path) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  std::string text = fmt::format("{}: isn't a data set of a known kind", path.string());
  const std::string kind = is_folder ? std::string() : file_kind(path);
  const std::string about = is_folder ? about_folder(path) : about_file(kind);
  if (!about.empty()) text += "; " + about;
  if (!is_folder && is_of_cifar(path) && !is_of_model(kind))
    return Error(fmt::format("{}; {}", text, kCifar10Download));
  return Error(is_folder && !about.empty() ? text : fmt::format("{}; {}", text, kKinds));
}

}  // namespace combiner

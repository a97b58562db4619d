#include "cli/picture_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "cli/checking.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "dataset/cifar10.h"
#include "dataset/npz_images.h"
#include "dataset/picture_list.h"
#include "image/read_image.h"

namespace combiner {
namespace fs = std::filesystem;

PictureInputs::PictureInputs(const std::vector<std::string>& paths,
                             const std::atomic<bool>& interrupted) {
  DatasetOptions own_size = dataset_options(Split::test, {}, false, 1, interrupted);
  own_size.width = own_size.height = 0;
  for (const std::string& path : paths) {
    std::error_code ignored;  // what can't be examined can't be read, which fails with a message
    if (fs::is_directory(path, ignored)) {
      PictureList list = list_pictures(path);
      if (list.ignored > 0) print_notice(summary(path, list));
      if (list.names.empty())
        throw Error(
            fmt::format("{}: holds no pictures; name .bin and .npz files themselves", path));
      add_files(path, std::move(list.names), interrupted);
    } else if (fs::path(path).extension() == ".bin") {
      add_images(open_cifar10(path, own_size));
    } else if (fs::path(path).extension() == ".npz") {
      add_images(open_npz(path, own_size));
    } else {
      add_files(fs::path(path).parent_path().string(), {fs::path(path).filename().string()},
                interrupted);
    }
  }
  if (pictures_.empty()) throw Error("there are no pictures to compress");
  drop_what_some_lack();
  require_different_names();
}

void PictureInputs::add_files(const std::string& folder, std::vector<std::string> names,
                              const std::atomic<bool>& interrupted) {
  Progress progress("pictures");
  for (size_t i = 0; i < names.size(); ++i) {
    if (interrupted)
      throw Interrupted("interrupted while the pictures were looked at: nothing is written");
    progress.update(static_cast<int64_t>(i),
                    static_cast<double>(i) / static_cast<double>(names.size()), "looking at them");
    const std::string path = (fs::path(folder) / names[i]).string();
    const Image image = read_image(path);
    sources_.push_back({path, nullptr, 0});
    pictures_.push_back({image.width, image.height, std::move(names[i]), {}});
  }
}

void PictureInputs::add_images(std::unique_ptr<Dataset> images) {
  for (int64_t i = 0; i < images->size(); ++i) {
    std::optional<int64_t> label = images->label(i);
    if (label && *label < 0) label.reset();  // the format has none such
    sources_.push_back({{}, images.get(), i});
    pictures_.push_back({images->width(), images->height(), {}, label});
  }
  data_sets_.push_back(std::move(images));
}

void PictureInputs::drop_what_some_lack() {
  const auto lacking = [&](auto has) {
    const auto count = std::ranges::count_if(pictures_, has);
    return count > 0 && count < std::ssize(pictures_);
  };
  if (lacking([](const CodedPicture& picture) { return !picture.name.empty(); })) {
    say("names are left out, because not all of the pictures have one\n");
    for (CodedPicture& picture : pictures_) picture.name.clear();
  }
  if (lacking([](const CodedPicture& picture) { return picture.label.has_value(); })) {
    say("labels are left out, because not all of the pictures have one\n");
    for (CodedPicture& picture : pictures_) picture.label.reset();
  }
}

// check_pictures() would find these, too, but doesn't know the paths.
void PictureInputs::require_different_names() const {
  std::map<std::string_view, size_t> known;
  for (size_t i = 0; i < pictures_.size(); ++i) {
    if (pictures_[i].name.empty()) return;
    if (const auto [first, is_new] = known.emplace(pictures_[i].name, i); !is_new)
      throw Error(fmt::format("{} and {} would both be called {}; rename one, or pack them apart",
                              sources_[first->second].path, sources_[i].path, pictures_[i].name));
  }
}

Image PictureInputs::read(size_t index) const {
  const auto& [path, images, number] = sources_[index];
  const CodedPicture& picture = pictures_[index];
  if (images != nullptr) {
    Image image{picture.width, picture.height,
                std::vector<uint8_t>(size_t{3} * picture.width * picture.height)};
    images->read(number, image.pixels);
    return image;
  }
  Image image = read_image(path);
  if (image.width != picture.width || image.height != picture.height)
    throw Error(fmt::format("{}: is {}x{} pixels now; it had {}x{} a moment ago", path, image.width,
                            image.height, picture.width, picture.height));
  return image;
}

}  // namespace combiner

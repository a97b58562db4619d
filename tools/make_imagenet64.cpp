// make_imagenet64: makes a data set in the format of downsampled ImageNet from a folder of
// pictures.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/counter_random.h"
#include "base/plural.h"
#include "base/thread_team.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "dataset/npz_images.h"
#include "dataset/npz_writer.h"
#include "dataset/picture_list.h"
#include "image/read_image.h"
#include "image/resize.h"
#include "training/data_order.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kPicturesAtOnce = 32;  // per thread, before the results are written
constexpr int kMostCrops = 256;
constexpr int kLargestSize = 1024;

struct MakeOptions {
  std::string pictures, output;
  Split split = Split::train;
  int size = 64;
  std::optional<int> crops;  // without it, the whole pictures
  bool centre_crop = false;
  uint64_t seed = 1;
  int64_t batch = 128'117;  // the published files have this many
  NpzCompression compression = NpzCompression::deflated;
  int threads = 1;
};

// The pictures in a folder and its subfolders, each with the number of its class. A class is a
// folder that holds pictures; classes are numbered from 1, sorted by name.
class Pictures {
 public:
  explicit Pictures(const fs::path& folder) : folder_(folder) {
    PictureList list = list_pictures(folder);
    if (list.ignored > 0) print_notice(summary(folder, list));
    names_ = std::move(list.names);
    for (const std::string& name : names_) labels_[class_of(name)] = 0;
    int64_t label = 0;
    for (auto& [name, number] : labels_) number = ++label;
  }

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  fs::path path(int64_t index) const { return folder_ / names_[static_cast<size_t>(index)]; }
  int64_t label(int64_t index) const {
    return labels_.at(class_of(names_[static_cast<size_t>(index)]));
  }

 private:
  static std::string class_of(const std::string& name) {
    return fs::path(name).parent_path().string();
  }

  fs::path folder_;
  std::vector<std::string> names_;
  std::map<std::string, int64_t> labels_;
};

// A random square. Its side is at most the picture's shorter side and at least half of that, but
// not below `size` if the picture is large enough. The result depends only on the arguments, not on
// the thread or the order of computation.
Rectangle random_square(const Image& image, const MakeOptions& options, int64_t picture, int crop) {
  // The order of the pictures uses the first two streams of the seed.
  const auto below = [&](int draw, int count) {
    const double u = counter_uniform(options.seed, static_cast<uint64_t>(2 + picture),
                                     static_cast<uint64_t>(3 * crop + draw));
    return static_cast<int>(u * count);
  };
  const int longest = std::min(image.width, image.height);
  const int shortest = std::min(longest, std::max(options.size, (longest + 1) / 2));
  const int side = shortest + below(0, longest - shortest + 1);
  return {below(1, image.width - side + 1), below(2, image.height - side + 1), side, side};
}

// The result for one picture: its records, or why it can't be read.
struct Made {
  std::vector<Image> images;
  std::string failure;
};

Made make(const Pictures& pictures, int64_t index, const MakeOptions& options) {
  const int size = options.size;
  Made made;
  try {
    const Image picture = read_image(pictures.path(index));
    if (options.centre_crop) {
      made.images.push_back(resize_to(picture, size, size));
    } else if (!options.crops) {
      const Rectangle whole{0, 0, picture.width, picture.height};
      made.images.push_back(resample(picture, whole, size, size));
    }
    for (int crop = 0; crop < options.crops.value_or(0); ++crop)
      made.images.push_back(
          resample(picture, random_square(picture, options, index, crop), size, size));
  } catch (const Error& error) {
    made.failure = error.what();
  }
  return made;
}

// Writes the files of the set one after the other, starting a new one when one is full.
class SetWriter {
 public:
  SetWriter(const MakeOptions& options, const std::atomic<bool>& interrupted)
      : options_(options), interrupted_(interrupted) {}

  void add(const Image& image, int64_t label) {
    if (!file_) file_.emplace(next_path(), options_.size, options_.compression);
    file_->add(image.pixels, label);
    if (options_.split == Split::train && file_->records() == options_.batch) finish_file();
  }

  void finish() {
    if (file_) finish_file();
  }

  int files() const { return files_; }
  int64_t records() const { return records_; }  // in finished files

  void fail_if_interrupted() const {
    if (!interrupted_) return;
    throw Interrupted(fmt::format("interrupted: in {} are {} with {}", options_.output,
                                  plural(files_, "whole file"), plural(records_, "record")));
  }

 private:
  fs::path next_path() const {
    const fs::path folder = options_.output;
    return folder / (options_.split == Split::train
                         ? fmt::format("train_data_batch_{}.npz", files_ + 1)
                         : std::string("val_data.npz"));
  }

  void finish_file() {
    if (!file_->finish(cancel_if(interrupted_))) fail_if_interrupted();
    ++files_;
    records_ += file_->records();
    file_.reset();
  }

  const MakeOptions& options_;
  const std::atomic<bool>& interrupted_;
  std::optional<NpzWriter> file_;
  int files_ = 0;
  int64_t records_ = 0;
};

// A reader would take files of an older set for a part of the new one, so refuse to mix them.
void prepare_folder(const MakeOptions& options) {
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", options.output, error.message()));
  const std::vector<fs::path> older = npz_files(options.output, options.split);
  if (!older.empty())
    throw Error(
        fmt::format("{}: is there already; remove the set or name another folder with --output",
                    older.front().string()));
}

void run(const MakeOptions& options) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  const Pictures pictures(options.pictures);
  const int64_t count = pictures.size();
  if (count == 0)
    throw Error(fmt::format("{}: has no pictures, nor has any folder below it", options.pictures));
  prepare_folder(options);

  DataOrder shuffled(options.seed, count, false);
  ThreadTeam team(options.threads);
  std::vector<int64_t> indices;
  std::vector<Made> made;
  SetWriter set(options, interrupted);
  int64_t unreadable = 0;
  Progress progress("pictures");
  progress.update(0, 0);
  for (int64_t done = 0; done < count; done += static_cast<int64_t>(indices.size())) {
    const int64_t end = std::min(count, done + kPicturesAtOnce * options.threads);
    indices.clear();
    for (int64_t n = done; n < end; ++n)
      indices.push_back(options.split == Split::train ? shuffled.at(n).index : n);
    made.assign(indices.size(), {});
    team.for_each(end - done, [&](int, int64_t i) {
      const auto place = static_cast<size_t>(i);
      if (!interrupted) made[place] = make(pictures, indices[place], options);
    });
    set.fail_if_interrupted();
    for (size_t i = 0; i < made.size(); ++i) {
      for (const Image& image : made[i].images) set.add(image, pictures.label(indices[i]));
      if (made[i].failure.empty()) continue;
      ++unreadable;
      progress.clear();
      say("make_imagenet64: {}\n", made[i].failure);
    }
    progress.update(end, static_cast<double>(end) / static_cast<double>(count));
  }
  set.finish();
  progress.clear();

  fmt::print("{}: {} of {}x{} from {}, files: {}\n", options.output,
             plural(set.records(), "record"), options.size, options.size,
             plural(count - unreadable, "picture"), set.files());
  if (unreadable > 0)
    throw Error(fmt::format("{} of {} can't be read and {} left out", unreadable,
                            plural(count, "picture"), unreadable == 1 ? "was" : "were"));
}

std::function<void()> declare(CLI::App& command) {
  const auto options = std::make_shared<MakeOptions>();
  command
      .add_option("pictures", options->pictures,
                  "Folder of pictures, searched with all folders below it. The folder that holds a "
                  "picture is its class: labels count these from 1, sorted by name")
      ->type_name("FOLDER")
      ->required();
  command
      .add_option("-o,--output", options->output,
                  "Folder to write to: train_data_batch_1.npz and on, or val_data.npz")
      ->type_name("FOLDER")
      ->required();
  command
      .add_option_function<std::string>(
          "--split",
          [options](const std::string& name) {
            options->split = name == "train" ? Split::train : Split::test;
          },
          "train is shuffled, test in the pictures' order and one file")
      ->check(one_of({"train", "test"}))
      ->default_str("train");
  add_number(command, "--size", options->size, {1, kLargestSize}, "Side of the images")
      ->type_name("S");
  CLI::Option* const crops =
      add_number(command, "--crops", options->crops, {1, kMostCrops},
                 "Random squares of each picture instead of the whole squeezed to a square");
  command
      .add_flag("--centre-crop", options->centre_crop,
                "The largest centred square of each picture instead of the whole")
      ->excludes(crops);
  add_number(command, "--seed", options->seed, {0},
             "Of the order and the crops, which depend on nothing else")
      ->type_name("S");
  add_number(command, "--batch", options->batch, {1}, "Records a train file");
  command.add_flag_callback(
      "--stored", [options] { options->compression = NpzCompression::stored; },
      "Don't compress: larger files, read at any place without a temporary file");
  add_threads_option(command, options->threads);
  command.footer(
      "Pictures that can't be read are named and left out, and make the exit code 1.\n"
      "The published ImageNet-64 is of whole pictures, squeezed to a square by the mean over "
      "areas.");
  return [options] { run(*options); };
}

}  // namespace
}  // namespace combiner

int main(int argc, char** argv) {
  using namespace combiner;
  return run_tool("make_imagenet64", "Make a data set like ImageNet-64 from pictures", declare,
                  argc, argv);
}

#include "cli/training_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/plural.h"
#include "cli/options.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "dataset/joined.h"
#include "dataset/next_readable.h"
#include "dataset/require_apart.h"
#include "dataset/subset.h"

namespace combiner {
namespace {

void say_which(const TrainingData& data, const std::string& origin) {
  say("training on {}, validating on {}\n", plural(data.training->size(), "image"),
      data.validation->size() == 0 ? "none"
                                   : fmt::format("{} ({})", data.validation->size(), origin));
}

std::shared_ptr<const Dataset> joined(std::vector<std::shared_ptr<const Dataset>> parts) {
  if (parts.size() == 1) return parts.front();
  return std::make_shared<const Joined>(std::move(parts));
}

// Measures on images of the data's own, so that all of `all` are trained on.
TrainingData with_own_validation(std::shared_ptr<const Dataset> all,
                                 std::shared_ptr<const Dataset> own, const std::string& paths,
                                 int64_t wanted, uint64_t seed) {
  const int64_t present = own->size();
  const int64_t count = std::min(wanted, present);
  TrainingData data = {std::move(all), std::make_shared<const Subset>(
                                           std::move(own), drawn_indices(present, count, seed))};
  say_which(data, count == present
                      ? paths
                      : fmt::format("of {} in {}, drawn with seed {}", present, paths, seed));
  return data;
}

// Measures on images of `all`, which are then not trained on.
TrainingData keep_apart(std::shared_ptr<const Dataset> all, const TrainingDataOptions& options) {
  const std::string paths = fmt::format("{}", fmt::join(options.data, " and "));
  const int64_t size = all->size();
  const int64_t wanted = options.validation_images;
  if (size <= wanted)
    throw Error(
        fmt::format("{}: has {}, and {} to hold out for validation; set --validation-images "
                    "below what it has",
                    paths, plural(size, "image"), wanted));
  const std::optional<uint64_t> seed = options.hold_out_seed;
  const std::vector<int64_t> apart =
      seed ? drawn_indices(size, wanted, *seed) : index_range(size - wanted, size);
  TrainingData data = {std::make_shared<const Subset>(all, other_indices(size, apart)),
                       std::make_shared<const Subset>(all, apart), wanted > 0};
  say_which(data, seed ? fmt::format("drawn from {} with seed {}", paths, *seed)
                       : fmt::format("the last of {}, as this checkpoint's run began", paths));
  return data;
}

TrainingData open_data(const TrainingDataOptions& options, const std::atomic<bool>& interrupted) {
  DatasetOptions how =
      dataset_options(Split::train, options.image, options.resize, options.threads, interrupted);
  how.on_bad = options.on_bad;
  const bool may_have_own = options.hold_out_seed && options.validation_images > 0;
  require_apart(std::vector<std::filesystem::path>(options.data.begin(), options.data.end()), how,
                may_have_own);
  std::vector<std::shared_ptr<const Dataset>> all, own;
  std::vector<std::string> own_paths;
  for (const std::string& path : options.data) {
    all.push_back(open_dataset(path, how));
    std::optional<ValidationData> found;
    if (may_have_own) found = open_validation(path, how);
    if (!found) continue;
    own.push_back(std::move(found->images));
    own_paths.push_back(found->path.string());
  }
  if (own.empty()) return keep_apart(joined(std::move(all)), options);
  return with_own_validation(joined(std::move(all)), joined(std::move(own)),
                             fmt::format("{}", fmt::join(own_paths, " and ")),
                             options.validation_images, *options.hold_out_seed);
}

}  // namespace

TrainingData open_training_data(const TrainingDataOptions& options,
                                const std::atomic<bool>& interrupted) {
  TrainingData data = open_data(options, interrupted);
  if (options.on_bad)
    data.training = std::make_shared<const NextReadable>(data.training, options.on_bad);
  return data;
}

}  // namespace combiner

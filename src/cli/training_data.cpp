#include "cli/training_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/plural.h"
#include "cli/options.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "dataset/next_readable.h"
#include "dataset/subset.h"

namespace combiner {
namespace {

void say_which(const TrainingData& data, const std::string& origin) {
  say("training on {}, validating on {}\n", plural(data.training->size(), "image"),
      data.validation->size() == 0 ? "none"
                                   : fmt::format("{} ({})", data.validation->size(), origin));
}

// Measures on images of the data's own, so that all of `all` are trained on.
TrainingData with_own_validation(std::shared_ptr<const Dataset> all, ValidationData own,
                                 int64_t wanted, uint64_t seed) {
  const int64_t present = own.images->size();
  const int64_t count = std::min(wanted, present);
  TrainingData data = {
      std::move(all),
      std::make_shared<const Subset>(std::move(own.images), drawn_indices(present, count, seed))};
  say_which(data, count == present ? own.path.string()
                                   : fmt::format("of {} in {}, drawn with seed {}", present,
                                                 own.path.string(), seed));
  return data;
}

// Measures on images of `all`, which are then not trained on.
TrainingData keep_apart(std::shared_ptr<const Dataset> all, const TrainingDataOptions& options) {
  const std::string path = options.data.string();
  const int64_t size = all->size();
  const int64_t wanted = options.validation_images;
  if (size <= wanted)
    throw Error(
        fmt::format("{}: has {}, and {} to keep apart for validation; set --validation-images "
                    "below what it has",
                    path, plural(size, "image"), wanted));
  const std::optional<uint64_t> seed = options.hold_out_seed;
  const std::vector<int64_t> apart =
      seed ? drawn_indices(size, wanted, *seed) : index_range(size - wanted, size);
  TrainingData data = {std::make_shared<const Subset>(all, other_indices(size, apart)),
                       std::make_shared<const Subset>(all, apart), wanted > 0};
  say_which(data, seed ? fmt::format("drawn from {} with seed {}", path, *seed)
                       : fmt::format("the last of {}, as this checkpoint's run began", path));
  return data;
}

TrainingData open_data(const TrainingDataOptions& options, const std::atomic<bool>& interrupted) {
  DatasetOptions how =
      dataset_options(Split::train, options.image, options.resize, options.threads, interrupted);
  how.on_bad = options.on_bad;
  std::shared_ptr<const Dataset> all = open_dataset(options.data, how);
  if (options.hold_out_seed && options.validation_images > 0)
    if (std::optional<ValidationData> own = open_validation(options.data, how))
      return with_own_validation(std::move(all), std::move(*own), options.validation_images,
                                 *options.hold_out_seed);
  return keep_apart(std::move(all), options);
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

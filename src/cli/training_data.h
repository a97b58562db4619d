// The images of a training run: those to train on and those to measure on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "combiner/dataset.h"
#include "model/model.h"

namespace combiner {

struct TrainingDataOptions {
  std::vector<std::string> data;  // one or more, which are joined
  ImageShape image;
  bool resize = false;
  int64_t validation_images = 0;  // to measure on, at most
  // Of the draw of these images. Without it, as in runs from before there was a draw, they are the
  // last images of the training set.
  std::optional<uint64_t> hold_out_seed;
  int threads = 1;  // to check pictures with
  // Told of images that can't be used, which are then left out: for good if they are found on
  // opening, and else for a stand-in whenever it is their turn to be trained on. Without it, they
  // are errors.
  OnBadImage on_bad = {};
};

struct TrainingData {
  std::shared_ptr<const Dataset> training;
  std::shared_ptr<const Dataset> validation;  // may have no image
  bool kept_apart = false;  // whether `validation` are images that would else be trained on
};

// Opens the data. The images to measure on are those that the data sets have for validation
// (open_validation), or a draw of them if there are more than wanted. Where no data set has any,
// they are drawn from the training images and held out. Says on standard error how many images of
// which kind there are. Throws Error if the data can't be used or no image would be left to train
// on.
TrainingData open_training_data(const TrainingDataOptions& options,
                                const std::atomic<bool>& interrupted);

}  // namespace combiner

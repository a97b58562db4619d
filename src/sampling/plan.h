// How the images of a draw are divided among threads.
#pragma once

#include <cstdint>
#include <vector>

#include "combiner/sampler.h"

namespace combiner {

// Divides the threads into teams of one size and the images into batches of nearly equal size, such
// that every team gets the same number of batches.
class Plan {
 public:
  Plan(const SampleOptions& options, int team);

  int team() const { return team_; }
  int teams() const { return teams_; }
  int threads() const { return team_ * teams_; }
  // The number of images that all teams together decode at once.
  int64_t images() const { return largest() * teams_; }
  int64_t batches() const { return batches_; }
  // The number of images in the largest batch.
  int64_t largest() const;
  // The first image of a batch.
  int64_t first(int64_t batch) const;

 private:
  int team_, teams_;
  int64_t count_;
  int64_t batches_;
};

// The plans that may be the fastest, one per size of team.
std::vector<Plan> candidate_plans(const SampleOptions& options);

}  // namespace combiner

// Drawing new images and the rest of given ones.
#pragma once

#include <cstdint>
#include <memory>

#include "combiner/model.h"
#include "combiner/sampler.h"
#include "server/engine.h"
#include "server/job.h"

namespace combiner {

struct DrawingParameters {
  int64_t count = 1;
  int64_t first = 0;
  uint64_t seed = 0;
  ChoiceOptions choice = {};
};

// Image k of the job becomes image first + k of the seed, bit for bit as sample() draws it.
void draw_samples(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
                  const DrawingParameters& parameters);

// Image k of the job becomes variation k of `picture`, of which `keep_rows` are kept, bit for bit
// as complete() draws those of a single picture.
void draw_completions(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
                      const DrawingParameters& parameters, Image picture, int keep_rows);

}  // namespace combiner

// Drawing any list of images on all threads, as fast as this machine can.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_team.h"
#include "combiner/image.h"
#include "sampling/batch_sampler.h"

namespace combiner {

// Throws Error if an option is out of range or if the model's images do not have three channels.
void validate(const ModelConfig& config, const SampleOptions& options);

// The images that a drawing decodes. All plans use the same ones, so that their memory is allocated
// only once.
class ImagePool {
 public:
  explicit ImagePool(const Model& model) : model_(model) {}
  // Creates images until there are at least `count`.
  void reserve(int64_t count, const Cancel& cancel);
  std::span<ImageState* const> all() const { return pointers_; }

 private:
  const Model& model_;
  std::vector<std::unique_ptr<ImageState>> images_;
  std::vector<ImageState*> pointers_;
};

// Draws options.count images at a time. The memory for them is kept from one draw() to the next.
class Drawing {
 public:
  // Throws Error as validate() does, and Cancelled soon after it is asked to end.
  Drawing(const Model& model, const SampleOptions& options, const Cancel& cancel);
  ~Drawing();

  // Draws the images image(0) .. image(count - 1), with the values that `choose` returns. Returns
  // true once all are done, false if asked to end. May be called again whatever the outcome of the
  // previous call.
  bool draw(std::function<ImageToDraw(int64_t)> image, ChooseForImage choose,
            const SampleEvents& events);
  // With random values, as the options say.
  bool draw(std::function<ImageToDraw(int64_t)> image, const SampleEvents& events);

  // Decodes the upper `rows` rows of known images. The states are valid until the next call. Throws
  // Cancelled once events.cancel says so.
  std::span<ImageState* const> prefill(std::span<const Image> images, int rows,
                                       const SampleEvents& events);

 private:
  class Teams;

  void make_teams(const Cancel& cancel);

  const Model model_;  // shares the caller's weights
  DrawingJob job_;
  ThreadTeam threads_;
  ImagePool pool_, known_;
  std::unique_ptr<Teams> teams_;
};

}  // namespace combiner

// Drawing batches of images with one team of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "combiner/sampler.h"
#include "sampling/decoding_team.h"
#include "sampling/plan.h"

namespace combiner {

// One of the images to draw.
struct ImageToDraw {
  int64_t index = 0;                  // its number in events
  uint64_t stream = 0;                // which of the seed's random numbers it is drawn with
  const ImageState* start = nullptr;  // what it goes on from: whole rows; nothing if null
};

// As ChooseValue, for an image of a job.
using ChooseForImage = std::function<uint8_t(const ImageToDraw& image, int64_t subpixel,
                                             std::span<const float> logits)>;

// What all threads share.
struct DrawingJob {
  SampleOptions options;
  SampleEvents events = {};
  ChooseForImage choose = {};
  // The images by their number in the job, 0 .. options.count - 1. Their starts are all at the same
  // position.
  std::function<ImageToDraw(int64_t)> image = {};
  std::mutex events_mutex = {};
  std::atomic<int64_t> next_batch = 0;
  std::atomic<bool> stop = false;

  // Whether to stop: another thread asked for it, or the caller does now.
  bool stopped();
};

class BatchSampler {
 public:
  // `states` must hold as many images as the largest batch.
  BatchSampler(const Model& model, const Plan& plan, std::span<ImageState* const> states,
               DrawingJob& job);

  // Draws batches until none are left or the job is stopped. Called by each thread of the team with
  // its rank.
  void draw_all(int rank);

  // Decodes the first positions of a full batch and discards them: a warm-up, and a trial to be
  // timed. Called by each thread of the team. Polls `cancel` before each position.
  void warm_up(int positions, int rank, const Cancel& cancel);

  // Call this when a thread of the team has thrown; see DecodingTeam::abandon.
  void abandon() { team_.abandon(); }

 private:
  void begin(std::span<const ImageToDraw> images, int rank);
  bool draw(std::span<const ImageToDraw> images, int rank);
  void report_row(std::span<const ImageToDraw> images, int row);
  void report_images(std::span<const ImageToDraw> images);

  const ModelConfig& config_;
  const Plan& plan_;
  DrawingJob& job_;
  DecodingTeam team_;
  std::span<ImageState* const> states_;
  std::vector<ImageToDraw> batch_;  // set by the team's first thread
};

}  // namespace combiner

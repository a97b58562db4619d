// One request that takes time, and what has come of it so far.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "combiner/image.h"
#include "image/png.h"

namespace combiner {

enum class JobState { queued, running, done, failed, cancelled };

// "queued", "running" and so on.
const char* name(JobState state);

// What does not change.
struct JobDescription {
  std::string kind = {};                // "samples", "completions", ...
  nlohmann::ordered_json request = {};  // all parameters, those that were left open too
  int64_t images = 0;                   // that it will make
  int width = 0;                        // of images that grow row by row; 0 for others
  // The text that the PNG of an image carries: how it was made.
  std::function<std::vector<PngText>(int64_t index)> texts = {};
};

// A finished image that is drawn whenever it is asked for.
struct StoredDrawing {
  int width = 0;
  int height = 0;
  size_t bytes = 0;  // that `draw` keeps
  std::function<Image()> draw = {};
};

// Those who compute it add to it; those who ask read it. What was once added does not change, so a
// reader of events holds nothing but the number of the next, and however slow it is, it holds
// nobody up. Thread-safe.
class Job {
 public:
  Job(std::string id, JobDescription description);

  const std::string& id() const { return id_; }
  const JobDescription& description() const { return description_; }

  // ---- For those who compute it. After the job has ended these do nothing.
  void begin();
  // The next row of an image, from 0: pixels [width, 3].
  void add_row(int64_t index, std::span<const uint8_t> pixels);
  // An image is finished; `note` is shown beside it. The job is done when all are.
  void finish_image(int64_t index, Image image, nlohmann::ordered_json note = {});
  void finish_image(int64_t index, StoredDrawing drawing, nlohmann::ordered_json note);
  // The job is done, and these bytes are its result.
  void finish(std::vector<uint8_t> file, nlohmann::ordered_json note);
  void fail(const std::string& why);
  // Returns false if it had ended already.
  bool cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // ---- For those who ask.
  JobState state() const;
  bool ended() const;
  size_t bytes() const;  // that its results take, nearly
  // Waits until it has ended, up to `patience`.
  void wait_for_end(std::chrono::milliseconds patience) const;
  nlohmann::ordered_json to_json() const;
  // A finished image; nullopt if it is not finished.
  std::optional<Image> image(int64_t index) const;
  // The bytes of finish(); empty if there are none.
  std::vector<uint8_t> file() const;

  // Events number `first` and following, counted from 1, as text of the event-stream format: a few
  // at a time. Waits for one up to `patience`. Empty if there was none, or none will be.
  struct Events {
    std::string text = {};
    size_t next = 0;    // the number of the event behind
    bool last = false;  // there will be no others
  };
  Events events(size_t first, std::chrono::milliseconds patience) const;

 private:
  struct JobImage {
    Image image;  // if it has a drawing, its size and no pixels
    std::function<Image()> draw = {};
    int rows = 0;
    bool finished = false;
    nlohmann::ordered_json note = {};
  };
  // A row of an image, or that it is finished. The text is made when it is read.
  struct Event {
    static constexpr int kFinished = -1;
    int32_t image;
    int32_t row;
  };

  bool has_ended() const { return state_ >= JobState::done; }
  void finish_image(int64_t index, JobImage finished, size_t bytes);
  void end(JobState state);
  nlohmann::ordered_json summary() const;

  const std::string id_;
  const JobDescription description_;
  std::atomic<bool> cancelled_ = false;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_, ended_;
  JobState state_ = JobState::queued;
  std::vector<JobImage> images_;
  std::vector<Event> events_;
  int64_t finished_ = 0;    // images
  size_t image_bytes_ = 0;  // of all images, finished or not
  std::vector<uint8_t> file_;
  nlohmann::ordered_json note_;
  std::string failure_;
};

}  // namespace combiner

// Divides the machine's threads among all that is to be computed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "combiner/cancel.h"
#include "combiner/model.h"
#include "server/batch.h"
#include "server/pixel_task.h"

namespace combiner {

struct EngineLoad {
  int64_t active = 0;   // images that are being decoded
  int64_t waiting = 0;  // images and pieces of other work that wait
  int64_t images = 0;   // decoded since the start
  double busy_seconds = 0;
};

// Work other than decoding, for one thread.
struct Piece {
  Cancel cancel;              // then it is dropped
  std::function<void()> run;  // must not throw
};

// One team of threads serves all models. It works in turns: each model with images in its batch has
// a turn, then pieces of other work such as likelihoods have one. Where several want turns, each
// lasts kTurn, as long as a piece may take, and pieces that have begun are finished.
class Engine {
 public:
  // Decodes up to `most_images` at once, of all models together. Images that others go on from take
  // memory until those begin; there are fewer than twice as many of them. Throws Error if the
  // system refuses so many threads.
  Engine(int threads, int64_t most_images);
  // Ends at once; what is not done is destroyed.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  using Tasks = std::vector<std::unique_ptr<PixelTask>>;
  // Thread-safe, as all that follows. Decodes the images of one group. Where images wait, those of
  // the group with the fewest in work come first, so that a single one need not wait for many.
  // `model` must outlive the engine.
  void decode(const Model& model, Tasks tasks);
  // Runs each of these once.
  void run(std::vector<Piece> pieces);
  // A task or a piece is cancelled: it leaves its batch before the next position, or the queue.
  void look_again();

  EngineLoad load() const;

 private:
  struct Group {
    const Model* model = nullptr;
    std::deque<std::unique_ptr<PixelTask>> waiting = {};
  };
  struct Admitted {
    std::shared_ptr<Group> group;
    std::unique_ptr<PixelTask> task;
  };

  void change(const std::function<void()>& make);
  void serve();
  bool wait_for_work();
  std::vector<Admitted> admit();
  void take_in(Admitted admitted);
  void run_batches();
  void run_pieces();
  int64_t active() const;

  const int64_t most_images_;
  ThreadTeam threads_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::list<std::shared_ptr<Group>> groups_;  // with images that wait, the oldest first
  std::deque<Piece> pieces_;
  std::atomic<bool> look_again_ = false;

  // The serving thread's.
  std::map<const Model*, Batch> batches_;
  std::atomic<int64_t> active_ = 0, images_ = 0, busy_microseconds_ = 0;
  std::thread server_;
};

}  // namespace combiner

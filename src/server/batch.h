// The images of one model that are decoded together.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "combiner/session.h"
#include "sampling/decoding_team.h"
#include "server/pixel_task.h"

namespace combiner {

// Images join and leave between positions ("continuous batching"); each is at a position of its
// own. The threads form as many teams as there are images, but for that the teams are of one size,
// and divide the images among them: many images are decoded one batch to a thread, without a
// barrier, and a single one by all threads together.
class Batch {
 public:
  // For up to `most` images. `model` and `threads` must outlive the batch.
  Batch(const Model& model, ThreadTeam& threads, int64_t most);

  int64_t size() const { return static_cast<int64_t>(images_.size()); }

  // Takes an image in. `ticket` is kept as long as the image is here. If this throws, the task is
  // still the caller's.
  void add(std::unique_ptr<PixelTask>& task, std::shared_ptr<void> ticket);
  void drop_cancelled();

  // Decodes until an image is done or `interrupted`, which all teams ask before each position, says
  // so. Images that are done leave.
  void run(const std::function<bool()>& interrupted);

 private:
  using Teams = std::vector<std::unique_ptr<DecodingTeam>>;

  struct Member {
    std::unique_ptr<PixelTask> task = {};
    std::shared_ptr<void> ticket;
    std::unique_ptr<ImageState> image;
    int64_t end = 0;  // the position at which it is done
    int rows_told = 0;
    std::optional<std::string> failure = {};
  };

  Teams& teams_of(int size);
  void decode(DecodingTeam& team, std::span<Member* const> members, int rank,
              std::atomic<bool>& ended, const std::function<bool()>& interrupted);
  void tell_rows(Member& member) const;
  void let_go();

  const Model& model_;
  const ModelConfig& config_;
  ThreadTeam& threads_;
  const int64_t most_;
  Session session_;             // makes images
  std::map<int, Teams> teams_;  // by their size
  std::vector<Member> images_;
};

}  // namespace combiner

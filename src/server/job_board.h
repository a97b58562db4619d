// All jobs, by their names.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/job.h"

namespace combiner {

// Names can't be guessed, so only who has made a job, or was told of it, finds it. Thread-safe.
class JobBoard {
 public:
  // Up to `most` jobs may be unfinished.
  explicit JobBoard(int64_t most) : most_(most) {}

  // Throws Fault 429 if there are too many, to be tried again after so many seconds. Forgets the
  // oldest finished jobs beyond kMaxFinishedJobs and kMaxFinishedBytes.
  std::shared_ptr<Job> add(JobDescription description, int retry_after);
  // Throws Fault 404.
  std::shared_ptr<Job> find(const std::string& id) const;
  std::vector<std::shared_ptr<Job>> all() const;

 private:
  void forget();

  const int64_t most_;
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Job>> jobs_;  // the newest first
};

}  // namespace combiner

#include "server/job_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "server/fault.h"
#include "server/limits.h"

namespace combiner {
namespace {

// 128 bits of the system's entropy.
std::string unguessable() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

}  // namespace

std::shared_ptr<Job> JobBoard::add(JobDescription description, int retry_after) {
  auto job = std::make_shared<Job>(unguessable(), std::move(description));
  const std::lock_guard lock(mutex_);
  forget();
  const auto unfinished =
      std::ranges::count_if(jobs_, [](const auto& each) { return !each->ended(); });
  if (unfinished >= most_)
    throw Fault(429, "queue_full",
                fmt::format("{} unfinished, as many as there may be",
                            unfinished == 1 ? "1 job is" : fmt::format("{} jobs are", unfinished)),
                "try again after the seconds of Retry-After, or start with a larger --queue",
                retry_after);
  jobs_.push_front(job);
  return job;
}

std::shared_ptr<Job> JobBoard::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(
      jobs_, id, [](const auto& each) -> const auto& { return each->id(); });
  if (found == jobs_.end())
    throw Fault(404, "no_job", "there is no such job",
                "the results of old jobs are forgotten; ask again for what it was to make");
  return *found;
}

std::vector<std::shared_ptr<Job>> JobBoard::all() const {
  const std::lock_guard lock(mutex_);
  return {jobs_.begin(), jobs_.end()};
}

void JobBoard::forget() {
  size_t finished = 0, bytes = 0;
  std::erase_if(jobs_, [&](const std::shared_ptr<Job>& job) {
    if (!job->ended()) return false;
    if (finished > 0 && (finished >= kMaxFinishedJobs || bytes + job->bytes() > kMaxFinishedBytes))
      return true;
    ++finished;  // the newest stays, however large
    bytes += job->bytes();
    return false;
  });
}

}  // namespace combiner

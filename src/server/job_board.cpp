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
      std::ranges::count_if(jobs_, [](const auto& each) { return !each.second->ended(); });
  if (unfinished >= most_)
    throw Fault(429, "queue_full",
                fmt::format("{} unfinished, as many as there may be",
                            unfinished == 1 ? "1 job is" : fmt::format("{} jobs are", unfinished)),
                "try again after the seconds of Retry-After, or start with a larger --queue",
                retry_after);
  order_.push_back(job->id());
  jobs_[job->id()] = job;
  return job;
}

std::shared_ptr<Job> JobBoard::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    throw Fault(404, "no_job", "there is no such job",
                "the results of old jobs are forgotten; ask again for what it was to make");
  return found->second;
}

std::vector<std::shared_ptr<Job>> JobBoard::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  return jobs;
}

void JobBoard::forget() {
  size_t finished = 0, bytes = 0;
  std::deque<std::string> kept;
  for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
    const Job& job = *jobs_.at(*id);
    if (job.ended()) {
      ++finished;
      bytes += job.bytes();
      if (finished > kMaxFinishedJobs || bytes > kMaxFinishedBytes) {
        jobs_.erase(*id);
        continue;
      }
    }
    kept.push_front(*id);
  }
  order_ = std::move(kept);
}

}  // namespace combiner

#include "sampling/plan.h"

#include <algorithm>

#include "base/round_up.h"

namespace combiner {
Plan::Plan(const SampleOptions& options, int team)
    : team_(team), teams_(options.threads / team), count_(options.count) {
  const int64_t rounds = ceil_div(ceil_div(count_, int64_t{options.batch} * team), int64_t{teams_});
  batches_ = rounds > count_ / teams_ ? count_ : rounds * teams_;
  teams_ = static_cast<int>(std::min<int64_t>(teams_, batches_));
}

int64_t Plan::largest() const { return ceil_div(count_, batches_); }

int64_t Plan::first(int64_t batch) const {
  return count_ / batches_ * batch + std::min(count_ % batches_, batch);
}

std::vector<Plan> candidate_plans(const SampleOptions& options) {
  std::vector<Plan> plans;
  for (int team = 1; team <= options.threads; ++team) {
    if (options.threads % team != 0) continue;
    const Plan plan(options, team);
    // Skip plans that have too few images to keep more than half of the threads busy. Larger teams
    // use more of them.
    if (team == options.threads || plan.threads() * 2 > options.threads) plans.push_back(plan);
  }
  return plans;
}

}  // namespace combiner

#include "combiner/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/counter_random.h"
#include "base/share.h"
#include "base/thread_team.h"
#include "combiner/error.h"
#include "combiner/session.h"
#include "sampling/choice.h"
#include "sampling/pace.h"

namespace combiner {
namespace {

void check(const ModelConfig& config, const SampleOptions& options) {
  validate(options.choice);
  const auto require_in = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw Error(fmt::format("{} is {}; expected {} to {}", name, value, low, high));
  };
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  require_in("the number of images", options.count, 1, kMax);
  require_in("the first image's index", options.first_index, 0, kMax - options.count);
  require_in("the batch", options.batch, 1, std::numeric_limits<int>::max());
  require_in("the number of threads", options.threads, 1, std::numeric_limits<int>::max());
  if (config.image.channels != 3)
    throw Error(fmt::format("the model's images have {} channels; only images of 3 can be sampled",
                            config.image.channels));
}

int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

// Divides the threads into teams of one size and the images into batches of nearly equal size, such
// that every team gets the same number of batches.
class Plan {
 public:
  Plan(const SampleOptions& options, int team)
      : team_(team), teams_(options.threads / team), count_(options.count) {
    const int64_t rounds = ceil_div(ceil_div(count_, int64_t{options.batch} * team), teams_);
    batches_ = rounds > count_ / teams_ ? count_ : rounds * teams_;
    teams_ = static_cast<int>(std::min<int64_t>(teams_, batches_));
  }

  int team() const { return team_; }
  int teams() const { return teams_; }
  int threads() const { return team_ * teams_; }
  // The number of images that all teams together decode at once.
  int64_t images() const { return largest() * teams_; }
  int64_t batches() const { return batches_; }
  int64_t largest() const { return ceil_div(count_, batches_); }
  int64_t first(int64_t batch) const {
    return count_ / batches_ * batch + std::min(count_ % batches_, batch);
  }

 private:
  int team_, teams_;
  int64_t count_;
  int64_t batches_;
};

// What all threads share.
struct Job {
  SampleOptions options;
  SampleEvents events = {};
  std::mutex events_mutex = {};
  std::atomic<int64_t> next_batch = 0;
  std::atomic<bool> stop = false;
};

using States = std::span<ImageState* const>;

// Draws batches of images with one team.
class BatchSampler {
 public:
  // `states` must hold as many images as the largest batch.
  BatchSampler(const Model& model, const Plan& plan, States states, Job& job)
      : config_(model.config()),
        plan_(plan),
        job_(job),
        session_(model, plan.largest(), plan.team()),
        states_(states),
        followed_(static_cast<size_t>(plan.team())) {
    if (plan.team() > 1) alone_.emplace(model, plan.largest());
  }

  void abandon() {
    session_.abandon();
    wake_team();
  }

  // Draws batches until none are left or the job is stopped. Called by each thread of the team.
  void draw_all(int rank) {
    for (;;) {
      if (rank == 0) batch_ = job_.next_batch++;
      session_.wait(rank);
      const int64_t batch = batch_;
      if (batch >= plan_.batches()) return;
      if (!draw(job_.options.first_index + plan_.first(batch),
                plan_.first(batch + 1) - plan_.first(batch), rank))
        return;
    }
  }

  // Decodes the first positions of a full batch and discards them: a warm-up, and a trial to be
  // timed.
  void warm_up(int positions, int rank) {
    reset(states_, rank);
    const auto zero = [](size_t, int64_t, std::span<const float>) { return uint8_t{0}; };
    for (int i = 0; i < positions; ++i) session_.step(states_, zero, rank);
  }

 private:
  void reset(States states, int rank) {
    if (rank == 0)
      for (ImageState* state : states) state->position = 0;
    session_.wait(rank);
  }

  // Draws images first .. first + count - 1 of the seed. Returns false if the job was stopped.
  bool draw(int64_t first, int64_t count, int rank) {
    const States states = states_.first(static_cast<size_t>(count));
    reset(states, rank);
    const SampleOptions& options = job_.options;
    const ChooseValue choose = [&](size_t image, int64_t subpixel, std::span<const float> logits) {
      const double uniform = counter_uniform(options.seed, static_cast<uint64_t>(first) + image,
                                             static_cast<uint64_t>(subpixel));
      return choose_value(logits, options.choice, uniform);
    };
    if (rank > 0) return follow(states, choose, rank);
    for (int row = 0; row < config_.rows(); ++row) {
      for (int column = 0; column < config_.columns(); ++column) {
        if (job_.stop || (job_.events.cancelled && job_.events.cancelled())) {
          job_.stop = true;  // for the other teams
          give(Order::stop);
          return false;
        }
        decode(states, choose);
      }
      report_row(first, states, row);
    }
    report_images(first, states);
    give(Order::finish);
    return true;
  }

  // What the team's first thread has the others do next.
  enum class Order : uint8_t { step, rest, finish, stop };

  // Decodes the next position, with the team or alone.
  void decode(States states, const ChooseValue& choose) {
    if (plan_.team() == 1) return session_.step(states, choose);
    const auto start = std::chrono::steady_clock::now();
    if (pace_.alone()) {
      if (!resting_) give(Order::rest);
      alone_->step(states, choose);
    } else {
      give(Order::step);
      session_.step(states, choose);
    }
    pace_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  // Called by the first thread. Returns when all others are about to follow the order.
  void give(Order order) {
    if (resting_) wake_team();
    resting_ = order == Order::rest;
    orders_[++given_ % 2] = order;
    session_.wait(0);
  }

  // What the other threads do while the first decodes a batch. They sleep while they rest, because
  // they would take processor time from it. Returns false if the job was stopped.
  bool follow(States states, const ChooseValue& choose, int rank) {
    for (;;) {
      const uint32_t wakes = wakes_;
      session_.wait(rank);
      switch (orders_[++followed_[static_cast<size_t>(rank)].orders % 2]) {
        case Order::step:
          session_.step(states, choose, rank);
          break;
        case Order::rest:
          wakes_.wait(wakes);
          break;
        case Order::finish:
          return true;
        case Order::stop:
          return false;
      }
    }
  }

  void wake_team() {
    ++wakes_;
    wakes_.notify_all();
  }

  void report_row(int64_t first, States states, int row) {
    if (!job_.events.row_done) return;
    const auto bytes = static_cast<size_t>(config_.image.width * config_.image.channels);
    const std::lock_guard lock(job_.events_mutex);
    for (const ImageState* state : states)
      job_.events.row_done(
          first++, row,
          std::span<const uint8_t>(state->pixels).subspan(static_cast<size_t>(row) * bytes, bytes));
  }

  void report_images(int64_t first, States states) {
    if (!job_.events.image_done) return;
    const std::lock_guard lock(job_.events_mutex);
    for (const ImageState* state : states)
      job_.events.image_done(first++, {config_.image.width,
                                       config_.image.height,
                                       {state->pixels.begin(), state->pixels.end()}});
  }

  const ModelConfig& config_;
  const Plan& plan_;
  Job& job_;
  Session session_;
  std::optional<Session> alone_;  // the first thread's, in a team of several
  States states_;
  // Set by the team's first thread.
  int64_t batch_ = 0;
  TeamPace pace_;
  bool resting_ = false;
  // The orders in turns: one is not overwritten before all threads have read the next.
  Order orders_[2] = {};
  uint32_t given_ = 0;
  struct alignas(64) Followed {
    uint32_t orders = 0;
  };
  std::vector<Followed> followed_;  // by rank
  std::atomic<uint32_t> wakes_ = 0;
};

// The teams of a plan, ready to draw.
class Teams {
 public:
  // Decodes in the first plan.images() of `states`.
  Teams(const Model& model, const Plan& plan, States states, ThreadTeam& threads, Job& job)
      : plan_(plan), threads_(threads), job_(job) {
    // Created by the threads that use them: memory is placed near the thread that first touches it.
    samplers_.resize(static_cast<size_t>(plan_.teams()));
    threads_.run([&](int rank) {
      if (rank >= plan_.threads() || rank % plan_.team() != 0) return;
      const auto index = static_cast<size_t>(rank / plan_.team());
      const auto largest = static_cast<size_t>(plan_.largest());
      samplers_[index] = std::make_unique<BatchSampler>(
          model, plan_, states.subspan(index * largest, largest), job_);
    });
  }

  void draw() {
    run([](BatchSampler& sampler, int rank) { sampler.draw_all(rank); });
  }

  // Returns the number of images divided by the seconds that their first few positions take.
  double measure() {
    // A single position serves as warm-up.
    constexpr int kPositions = 4;
    run([](BatchSampler& sampler, int rank) { sampler.warm_up(1, rank); });
    const auto start = std::chrono::steady_clock::now();
    run([](BatchSampler& sampler, int rank) { sampler.warm_up(kPositions, rank); });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    return static_cast<double>(plan_.images()) / time.count();
  }

 private:
  template <class Work>
  void run(Work&& work) {
    threads_.run([&](int rank) {
      if (rank >= plan_.threads()) return;
      BatchSampler& sampler = *samplers_[static_cast<size_t>(rank / plan_.team())];
      try {
        work(sampler, rank % plan_.team());
      } catch (const BrokenBarrier&) {
        // Another thread has thrown the exception that says why.
      } catch (...) {
        job_.stop = true;  // for the other teams
        sampler.abandon();
        throw;
      }
    });
  }

  const Plan plan_;
  ThreadTeam& threads_;
  Job& job_;
  std::vector<std::unique_ptr<BatchSampler>> samplers_;
};

// The plans that may be the fastest for the job, one per size of team.
std::vector<Plan> candidates(const SampleOptions& options) {
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

// The images that a sampler decodes. All plans use the same ones, so that their memory is allocated
// only once.
class ImagePool {
 public:
  explicit ImagePool(const Model& model) : session_(model, 1) {}
  // Creates images until there are at least `count`.
  void reserve(int64_t count) {
    while (std::cmp_less(images_.size(), count)) {
      images_.push_back(session_.new_image());
      pointers_.push_back(images_.back().get());
    }
  }
  States all() const { return pointers_; }

 private:
  Session session_;
  std::vector<std::unique_ptr<ImageState>> images_;
  std::vector<ImageState*> pointers_;
};

// The fastest teams for the job, found by trial if there is a choice. They decode in `pool`.
std::unique_ptr<Teams> best_teams(const Model& model, ImagePool& pool, ThreadTeam& threads,
                                  Job& job) {
  const std::vector<Plan> plans = candidates(job.options);
  for (const Plan& plan : plans) pool.reserve(plan.images());
  const auto make = [&](const Plan& plan) {
    return std::make_unique<Teams>(model, plan, pool.all(), threads, job);
  };
  if (plans.size() == 1) return make(plans.front());
  // The plans take turns, and each counts by its best round, because other programs can slow a
  // trial down.
  constexpr int kRounds = 2;
  std::vector<std::unique_ptr<Teams>> all;
  for (const Plan& plan : plans) all.push_back(make(plan));
  std::vector<double> rates(all.size());
  for (int round = 0; round < kRounds; ++round)
    for (size_t i = 0; i < all.size(); ++i) rates[i] = std::max(rates[i], all[i]->measure());
  // Larger teams share the reading of weights, and the first positions read little else. Over whole
  // images they gain less than in the trial, so they must win it by this factor.
  constexpr double kMinGain = 1.15;
  size_t best = 0;
  for (size_t i = 1; i < all.size(); ++i)
    if (rates[i] > kMinGain * rates[best]) best = i;
  return std::move(all[best]);
}

}  // namespace

class Sampler::Drawing {
 public:
  Drawing(const Model& model, const SampleOptions& options)
      : model_(model), job_{options}, threads_(options.threads), pool_(model) {
    make_teams();
  }

  bool draw(const SampleEvents& events) {
    job_.events = events;
    job_.next_batch = 0;
    job_.stop = false;
    if (!teams_) make_teams();
    try {
      teams_->draw();
    } catch (...) {
      teams_.reset();  // their barriers are broken
      throw;
    }
    return !job_.stop;
  }

 private:
  void make_teams() { teams_ = best_teams(model_, pool_, threads_, job_); }

  const Model& model_;
  Job job_;
  ThreadTeam threads_;
  ImagePool pool_;
  std::unique_ptr<Teams> teams_;
};

Sampler::Sampler(const Model& model, const SampleOptions& options) {
  check(model.config(), options);
  drawing_ = std::make_unique<Drawing>(model, options);
}
Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

bool Sampler::draw(const SampleEvents& events) { return drawing_->draw(events); }

bool sample(const Model& model, const SampleOptions& options, const SampleEvents& events) {
  return Sampler(model, options).draw(events);
}

}  // namespace combiner

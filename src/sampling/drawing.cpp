#include "sampling/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/round_up.h"
#include "base/share.h"
#include "combiner/error.h"
#include "sampling/choice.h"

namespace combiner {
namespace {

const SampleOptions& checked(const ModelConfig& config, const SampleOptions& options) {
  validate(config, options);
  return options;
}

// What a call gives to a job until it returns: its callbacks may refer to what the caller then
// destroys.
class Loan {
 public:
  Loan(DrawingJob& job, const SampleEvents& events, ChooseForImage choose = {},
       std::function<ImageToDraw(int64_t)> image = {})
      : job_(job) {
    job_.events = events;
    job_.choose = std::move(choose);
    job_.image = std::move(image);
    job_.next_batch = 0;
    job_.stop = false;
  }
  ~Loan() {
    job_.events = {};
    job_.choose = {};
    job_.image = {};
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

 private:
  DrawingJob& job_;
};

}  // namespace

void validate(const ModelConfig& config, const SampleOptions& options) {
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

void ImagePool::reserve(int64_t count, const Cancel& cancel) {
  if (std::cmp_greater_equal(images_.size(), count)) return;
  const Session session(model_, 1);
  while (std::cmp_less(images_.size(), count)) {
    cancel.poll();
    images_.push_back(session.new_image());
    pointers_.push_back(images_.back().get());
  }
}

// The teams of a plan, ready to draw.
class Drawing::Teams {
 public:
  // Decodes in the first plan.images() of `states`.
  Teams(const Model& model, const Plan& plan, std::span<ImageState* const> states,
        ThreadTeam& threads, DrawingJob& job)
      : plan_(plan), positions_(model.config().positions()), threads_(threads), job_(job) {
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
  double measure(const Cancel& cancel) {
    // A single position serves as warm-up.
    constexpr int64_t kMostPositions = 4;
    const auto positions = static_cast<int>(std::min<int64_t>(kMostPositions, positions_));
    run([&](BatchSampler& sampler, int rank) { sampler.warm_up(1, rank, cancel); });
    const auto start = std::chrono::steady_clock::now();
    run([&](BatchSampler& sampler, int rank) { sampler.warm_up(positions, rank, cancel); });
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
  const int64_t positions_;  // of an image
  ThreadTeam& threads_;
  DrawingJob& job_;
  std::vector<std::unique_ptr<BatchSampler>> samplers_;
};

Drawing::Drawing(const Model& model, const SampleOptions& options, const Cancel& cancel)
    : model_(model.at(model.precision())),
      job_{checked(model_.config(), options)},
      threads_(options.threads),
      pool_(model_),
      known_(model_) {
  make_teams(cancel);
}
Drawing::~Drawing() = default;

bool Drawing::draw(std::function<ImageToDraw(int64_t)> image, const SampleEvents& events) {
  const auto choose = [this](const ImageToDraw& drawn, int64_t subpixel,
                             std::span<const float> logits) {
    const SampleOptions& options = job_.options;
    return draw_value(logits, options.choice, options.seed, drawn.stream, subpixel);
  };
  return draw(std::move(image), choose, events);
}

bool Drawing::draw(std::function<ImageToDraw(int64_t)> image, ChooseForImage choose,
                   const SampleEvents& events) {
  const Loan loan(job_, events, std::move(choose), std::move(image));
  try {
    if (!teams_) make_teams(Cancel([this] { return job_.stopped(); }));
  } catch (const Cancelled&) {
    return false;
  }
  try {
    teams_->draw();
  } catch (...) {
    teams_.reset();  // their barriers are broken
    throw;
  }
  return !job_.stop;
}

std::span<ImageState* const> Drawing::prefill(std::span<const Image> images, int rows,
                                              const SampleEvents& events) {
  const auto count = static_cast<int64_t>(images.size());
  const Loan loan(job_, events);
  const Cancel cancel([this] { return job_.stopped(); });
  known_.reserve(count, cancel);
  const std::span<ImageState* const> states = known_.all().first(images.size());
  // Every thread takes equal parts, each no larger than a batch.
  const int64_t share = ceil_div(count, int64_t{threads_.size()});
  const int64_t part = std::min<int64_t>(share, job_.options.batch);
  threads_.for_each(ceil_div(count, part), [&](int, int64_t index) {
    const auto first = static_cast<size_t>(index * part);
    const size_t size = std::min(static_cast<size_t>(part), images.size() - first);
    Session session(model_, part);
    for (ImageState* state : states.subspan(first, size)) state->position = 0;
    session.prefill(states.subspan(first, size), images.subspan(first, size), rows, cancel);
  });
  return states;
}

// Chooses the fastest teams for the job, by trial if there is a choice.
void Drawing::make_teams(const Cancel& cancel) {
  const std::vector<Plan> plans = candidate_plans(job_.options);
  for (const Plan& plan : plans) pool_.reserve(plan.images(), cancel);
  std::vector<std::unique_ptr<Teams>> all;
  for (const Plan& plan : plans)
    all.push_back(std::make_unique<Teams>(model_, plan, pool_.all(), threads_, job_));
  size_t best = 0;
  if (all.size() > 1) {
    // The plans take turns, and each counts by its best round, because other programs can slow a
    // trial down.
    constexpr int kRounds = 2;
    std::vector<double> rates(all.size());
    for (int round = 0; round < kRounds; ++round)
      for (size_t i = 0; i < all.size(); ++i)
        rates[i] = std::max(rates[i], all[i]->measure(cancel));
    // Larger teams share the reading of weights, and the first positions read little else. Over
    // whole images they gain less than in the trial, so they must win it by this factor.
    constexpr double kMinGain = 1.15;
    for (size_t i = 1; i < all.size(); ++i)
      if (rates[i] > kMinGain * rates[best]) best = i;
  }
  teams_ = std::move(all[best]);
}

}  // namespace combiner

#include "server/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "catch.h"
#include "combiner/completion.h"
#include "model/random_model.h"
#include "model_of.h"
#include "server/drawing_tasks.h"
#include "server/job_task.h"
#include "server/likelihood_pieces.h"
#include "wait_until.h"

namespace combiner {
namespace {

// Rotary, so that a batch has to tell the positions of its images apart.
Model small_model(uint64_t seed = 1) {
  ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 5, 4);
  config.embed_dim = 24;
  config.rotary = RotaryConfig{100};
  Random random(seed);
  return model_of(random_weights(config, random));
}

std::shared_ptr<Job> new_job(const Model& model, int64_t images) {
  return std::make_shared<Job>(
      "job",
      JobDescription{.kind = "samples", .images = images, .width = model.config().image.width});
}

std::shared_ptr<Job> start(Engine& engine, const Model& model, const DrawingParameters& drawing) {
  std::shared_ptr<Job> job = new_job(model, drawing.count);
  draw_samples(engine, model, job, drawing);
  return job;
}

template <class Task, class... More>
void start_task(Engine& engine, const std::shared_ptr<Job>& job, const Model& model,
                More&&... more) {
  Engine::Tasks tasks;
  tasks.push_back(std::make_unique<Task>(job, model, std::forward<More>(more)...));
  engine.decode(model, std::move(tasks));
}

// What the library draws.
std::vector<Image> expected(const Model& model, const DrawingParameters& drawing) {
  std::vector<Image> images(static_cast<size_t>(drawing.count));
  SampleEvents events;
  events.image_done = [&](int64_t index, Image image) {
    images[static_cast<size_t>(index - drawing.first)] = std::move(image);
  };
  REQUIRE(sample(model,
                 {.count = drawing.count,
                  .first_index = drawing.first,
                  .seed = drawing.seed,
                  .choice = drawing.choice},
                 events));
  return images;
}

void require_images(const Job& job, const std::vector<Image>& images) {
  REQUIRE(wait_until([&] { return job.ended(); }));
  REQUIRE(job.state() == JobState::done);
  for (size_t i = 0; i < images.size(); ++i)
    REQUIRE(job.image(static_cast<int64_t>(i)) == images[i]);
}

// Takes no value before it is let go on. Catch's assertions are for the test's own thread only.
class HeldTask final : public JobTask {
 public:
  HeldTask(std::shared_ptr<Job> job, const Model& model, const std::atomic<bool>& held,
           std::atomic<int>* chosen = nullptr)
      : JobTask(std::move(job), model), held_(held), chosen_(chosen) {}
  uint8_t choose(int64_t, std::span<const float>) override {
    if (chosen_) ++*chosen_;
    if (!wait_until([&] { return !held_; })) throw std::runtime_error("it was not let go on");
    return 0;
  }
  void done(std::unique_ptr<ImageState> image) override {
    job_->finish_image(0, {shape().width, shape().height, image->pixels});
  }

 private:
  const std::atomic<bool>& held_;
  std::atomic<int>* const chosen_;  // counts values
};

class ThrowingTask final : public JobTask {
 public:
  using JobTask::JobTask;
  uint8_t choose(int64_t subpixel, std::span<const float>) override {
    if (subpixel == 7) throw std::runtime_error("no value");
    return 0;
  }
  void done(std::unique_ptr<ImageState>) override { job_->fail("it was done"); }
};

// Goes on from the start of another.
class FollowingTask final : public JobTask {
 public:
  FollowingTask(std::shared_ptr<Job> job, const Model& model,
                std::shared_ptr<const ImageState> start)
      : JobTask(std::move(job), model), start_(std::move(start)) {}
  const ImageState* start() const override { return start_.get(); }
  void begin() override { start_.reset(); }
  uint8_t choose(int64_t, std::span<const float>) override { return 0; }
  void done(std::unique_ptr<ImageState> image) override {
    job_->finish_image(0, {shape().width, shape().height, image->pixels});
  }

 private:
  std::shared_ptr<const ImageState> start_;
};

// Makes a start for another, which is counted as long as it lives.
class LeadingTask final : public JobTask {
 public:
  struct Starts {
    std::atomic<int> living = 0, most = 0;
  };

  LeadingTask(std::shared_ptr<Job> job, const Model& model, Engine& engine, Starts& starts)
      : JobTask(std::move(job), model), engine_(engine), starts_(starts) {}
  bool makes_start() const override { return true; }
  int rows() const override { return 1; }
  uint8_t choose(int64_t, std::span<const float>) override { return 0; }
  void done(std::unique_ptr<ImageState> image) override {
    starts_.most = std::max<int>(starts_.most, ++starts_.living);
    const std::shared_ptr<const ImageState> start(image.release(),
                                                  [&starts = starts_](const ImageState* state) {
                                                    delete state;
                                                    --starts.living;
                                                  });
    start_task<FollowingTask>(engine_, job_, model_, start);
  }

 private:
  Engine& engine_;
  Starts& starts_;
};

// Can't even be taken in.
class UnwelcomeTask final : public JobTask {
 public:
  using JobTask::JobTask;
  void begin() override { throw std::bad_alloc(); }
  uint8_t choose(int64_t, std::span<const float>) override { return 0; }
  void done(std::unique_ptr<ImageState>) override { job_->fail("it was done"); }
};

}  // namespace

TEST_CASE("engine: images are those that sample draws, whoever else is there") {
  const Model model = small_model(1), other = small_model(2);
  for (const int threads : {1, 2, 3, 4})
    for (const int64_t most : {1, 3, 16}) {
      Engine engine(threads, most);
      std::vector<DrawingParameters> asked;
      for (int i = 0; i < 6; ++i)
        asked.push_back({.count = 1 + i % 4,
                         .first = 3 * i,
                         .seed = static_cast<uint64_t>(i),
                         .choice = {.temperature = 0.5 + i, .top_k = 256 - i}});
      std::vector<std::shared_ptr<Job>> jobs;
      for (size_t i = 0; i < asked.size(); ++i)
        jobs.push_back(start(engine, i % 2 ? other : model, asked[i]));
      for (size_t i = 0; i < asked.size(); ++i)
        require_images(*jobs[i], expected(i % 2 ? other : model, asked[i]));
    }
}

TEST_CASE("engine: completions are those that complete draws") {
  const Model model = small_model();
  Random random(3);
  const Image picture{4, 5, random_pixels(model.config(), random)};
  Engine engine(2, 4);
  for (const int rows : {0, 1, 4}) {
    const DrawingParameters drawing{.count = 5, .first = 2, .seed = 9};
    const auto job = new_job(model, drawing.count);
    draw_completions(engine, model, job, drawing, picture, rows);
    std::vector<Image> images(5);
    SampleEvents events;
    events.image_done = [&](int64_t index, Image image) {
      images[static_cast<size_t>(index)] = std::move(image);
    };
    REQUIRE(complete(model, std::span(&picture, 1), rows, {.count = 5, .first_index = 2, .seed = 9},
                     events));
    require_images(*job, images);
  }
}

TEST_CASE("engine: few images wait for those that go on from them") {
  const Model model = small_model();
  for (const int64_t most : {1, 2, 5}) {
    LeadingTask::Starts starts;
    Engine engine(2, most);
    std::vector<std::shared_ptr<Job>> jobs;
    for (int i = 0; i < 30; ++i) {
      jobs.push_back(new_job(model, 1));
      start_task<LeadingTask>(engine, jobs.back(), model, engine, starts);
    }
    for (const auto& job : jobs) REQUIRE(wait_until([&] { return job->ended(); }));
    CHECK(starts.most < 2 * most);
    CHECK(starts.living == 0);
  }
}

TEST_CASE("engine: rows are told in order, and are those of the image") {
  const Model model = small_model();
  Engine engine(2, 4);
  const auto job = start(engine, model, {.count = 2, .seed = 4});
  REQUIRE(wait_until([&] { return job->ended(); }));
  // 5 rows and an end of each of 2 images, and the end.
  const Job::Events all = job->events(1, {});
  CHECK(all.next == 2 * (5 + 1) + 1 + 1);
  CHECK(all.last);
  CHECK(all.text.find("event: end\ndata: {\"id\":\"job\"") != std::string::npos);
  // Who comes back hears what comes after.
  const Job::Events rest = job->events(all.next - 1, {});
  CHECK(rest.text.starts_with("id: 13\nevent: end\n"));
  CHECK(job->events(1000, {}).last);
  CHECK(all.text.ends_with(rest.text));
}

// Runs a task that fails beside a job, which it must leave alone. Returns the message.
template <class Task>
std::string message_of_failure() {
  const Model model = small_model();
  Engine engine(2, 8);
  const auto job = start(engine, model, {.count = 3, .seed = 5});
  const auto failing = new_job(model, 1);
  start_task<Task>(engine, failing, model);
  REQUIRE(wait_until([&] { return failing->ended(); }));
  CHECK(failing->state() == JobState::failed);
  require_images(*job, expected(model, {.count = 3, .seed = 5}));
  return failing->to_json()["error"]["message"];
}

TEST_CASE("engine: an image that fails takes no other with it") {
  CHECK(message_of_failure<ThrowingTask>() == "no value");
}

TEST_CASE("engine: an image for which there is no room fails alone") {
  CHECK(message_of_failure<UnwelcomeTask>() == "not enough memory for another image");
}

TEST_CASE("engine: a cancelled job leaves before the next position") {
  const Model model = small_model();
  Engine engine(1, 1);
  std::atomic<bool> held = true;
  std::atomic<int> chosen = 0;
  const auto job = new_job(model, 1);
  start_task<HeldTask>(engine, job, model, held, &chosen);
  const auto next = start(engine, model, {.count = 1, .seed = 6});
  REQUIRE(wait_until([&] { return job->state() == JobState::running; }));
  CHECK(next->state() == JobState::queued);  // there is room for one
  CHECK(job->cancel());
  CHECK(!job->cancel());
  engine.look_again();
  held = false;
  require_images(*next, expected(model, {.count = 1, .seed = 6}));
  CHECK(job->state() == JobState::cancelled);
  CHECK(!job->image(0));
  CHECK(chosen <= 3);  // of the first pixel, if that had begun
}

TEST_CASE("engine: a single image does not wait for all of a large job") {
  const Model model = small_model();
  Engine engine(1, 2);
  std::atomic<bool> held = true;
  const auto first = new_job(model, 1);
  start_task<HeldTask>(engine, first, model, held);
  REQUIRE(wait_until([&] { return first->state() == JobState::running; }));
  const auto large = start(engine, model, {.count = 2000, .seed = 7});
  const auto single = start(engine, model, {.count = 1, .seed = 8});
  held = false;
  REQUIRE(wait_until([&] { return single->ended(); }));
  CHECK(!large->ended());
  require_images(*large, expected(model, {.count = 2000, .seed = 7}));
}

TEST_CASE("engine: likelihoods are measured while images are drawn") {
  const Model model = small_model();
  Engine engine(2, 4);
  const auto job = start(engine, model, {.count = 40, .seed = 9});
  Random random(4);
  const auto likelihoods = std::make_shared<Job>("l", JobDescription{.images = 1});
  const Image picture{4, 5, random_pixels(model.config(), random)};
  engine.run(likelihood_pieces(model, likelihoods, {picture}));
  REQUIRE(wait_until([&] { return likelihoods->ended(); }));
  std::vector<float> nll(picture.pixels.size());
  ImageScorer(model).nll(picture.pixels.data(), nll.data());
  double sum = 0;
  for (const float value : nll) sum += value;
  const nlohmann::ordered_json measured = likelihoods->to_json()["images"][0];
  const double bits = measured["bits_per_dim"];
  CHECK(std::abs(bits - sum / std::log(2.0) / static_cast<double>(nll.size())) < 1e-5);
  // The map is drawn when it is asked for.
  const std::optional<Image> map = likelihoods->image(0);
  REQUIRE(map);
  CHECK(map->width == measured["width"]);
  CHECK(map->height == measured["height"]);
  CHECK(likelihoods->bytes() < map->pixels.size() / 10);
  require_images(*job, expected(model, {.count = 40, .seed = 9}));
}

TEST_CASE("engine: cancelled pieces are dropped, not run") {
  std::atomic<int> runs = 0;
  Engine engine(2, 4);
  std::vector<Piece> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back({Cancel([] { return true; }), [&] { ++runs; }});
  pieces.push_back({{}, [&] { ++runs; }});
  engine.run(std::move(pieces));
  REQUIRE(wait_until([&] { return runs > 0; }));
  CHECK(engine.load().waiting == 0);
  CHECK(runs == 1);
}

TEST_CASE("engine: ends while images are drawn") {
  const Model model = small_model();
  const auto job = new_job(model, 10000);
  {
    Engine engine(2, 4);
    draw_samples(engine, model, job, {.count = 10000});
  }
  CHECK(!job->image(9999));
}

}  // namespace combiner

#include "server/drawing_tasks.h"

#include <utility>

#include "combiner/completion.h"
#include "sampling/choice.h"
#include "server/job_task.h"

namespace combiner {
namespace {

// Draws image `index` of a job, with the random numbers of image `stream` of the seed.
class DrawTask final : public JobTask {
 public:
  DrawTask(std::shared_ptr<Job> job, const Model& model, const DrawingParameters& parameters,
           int64_t index, int64_t stream, std::shared_ptr<const ImageState> start)
      : JobTask(std::move(job), model),
        seed_(parameters.seed),
        choice_(parameters.choice),
        index_(index),
        stream_(static_cast<uint64_t>(stream)),
        start_(std::move(start)) {}

  const ImageState* start() const override { return start_.get(); }
  void begin() override {
    start_.reset();  // it is copied
    JobTask::begin();
  }
  uint8_t choose(int64_t subpixel, std::span<const float> logits) override {
    return draw_value(logits, choice_, seed_, stream_, subpixel);
  }
  void row_done(std::span<const uint8_t> pixels) override { job_->add_row(index_, pixels); }
  void done(std::unique_ptr<ImageState> image) override {
    job_->finish_image(index_, {shape().width, shape().height, std::move(image->pixels)});
  }

 private:
  const uint64_t seed_;
  const ChoiceOptions choice_;
  const int64_t index_;
  const uint64_t stream_;
  std::shared_ptr<const ImageState> start_;
};

Engine::Tasks draw_tasks(const Model& model, const std::shared_ptr<Job>& job,
                         const DrawingParameters& parameters,
                         const std::shared_ptr<const ImageState>& start) {
  Engine::Tasks tasks;
  for (int64_t i = 0; i < parameters.count; ++i)
    tasks.push_back(std::make_unique<DrawTask>(job, model, parameters, i,
                                               variation_stream(0, parameters.first + i), start));
  return tasks;
}

// Decodes the rows of a picture that are kept, once for all its variations.
class PrefillTask final : public JobTask {
 public:
  PrefillTask(Engine& engine, std::shared_ptr<Job> job, const Model& model,
              const DrawingParameters& parameters, Image picture, int rows)
      : JobTask(std::move(job), model),
        engine_(engine),
        parameters_(parameters),
        picture_(std::move(picture)),
        rows_(rows) {}

  bool makes_start() const override { return true; }
  int rows() const override { return rows_; }
  uint8_t choose(int64_t subpixel, std::span<const float>) override {
    return picture_.pixels[static_cast<size_t>(subpixel)];
  }
  void done(std::unique_ptr<ImageState> image) override {
    engine_.decode(model_, draw_tasks(model_, job_, parameters_, std::move(image)));
  }

 private:
  Engine& engine_;
  const DrawingParameters parameters_;
  const Image picture_;
  const int rows_;
};

}  // namespace

void draw_samples(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
                  const DrawingParameters& parameters) {
  engine.decode(model, draw_tasks(model, job, parameters, nullptr));
}

void draw_completions(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
                      const DrawingParameters& parameters, Image picture, int keep_rows) {
  if (keep_rows == 0) return draw_samples(engine, model, job, parameters);
  Engine::Tasks tasks;
  tasks.push_back(
      std::make_unique<PrefillTask>(engine, job, model, parameters, std::move(picture), keep_rows));
  engine.decode(model, std::move(tasks));
}

}  // namespace combiner

// A part of a job that is decoded position by position.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "combiner/model.h"
#include "server/job.h"
#include "server/pixel_task.h"

namespace combiner {

class JobTask : public PixelTask {
 public:
  JobTask(std::shared_ptr<Job> job, const Model& model) : job_(std::move(job)), model_(model) {}

  int rows() const override { return shape().height; }
  void begin() override { job_->begin(); }
  void row_done(std::span<const uint8_t>) override {}
  void fail(const std::string& why) override { job_->fail(why); }
  bool cancelled() const override { return job_->cancelled(); }

 protected:
  const ImageShape& shape() const { return model_.config().image; }

  const std::shared_ptr<Job> job_;
  const Model& model_;
};

}  // namespace combiner

// What the server can do, without HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "combiner/image.h"
#include "combiner/sampler.h"
#include "image/png.h"
#include "server/drawing_tasks.h"
#include "server/engine.h"
#include "server/fields.h"
#include "server/job_board.h"
#include "server/served_model.h"

namespace combiner {

// A drawn image, for the text that its PNG carries.
struct DrawnImage {
  const ServedModel& model;
  Precision precision = Precision::f32;
  uint64_t seed = 0;
  int64_t stream = 0;  // its index among the images of the seed
  ChoiceOptions choice = {};
  std::optional<int> keep_rows = {};  // of a completion
};

struct ServiceOptions {
  int threads = 1;
  int64_t most_images = 1;  // decoded at once
  int64_t most_jobs = 1;    // unfinished ones
  std::function<std::vector<PngText>(const DrawnImage&)> texts = {};
};

// Thread-safe. Requests are JSON objects as /openapi.json describes them. What is wrong with one is
// thrown as Fault, or as Error in the library's words.
class Service {
 public:
  // Requests that name no model get the first. There must be one.
  Service(std::vector<std::unique_ptr<ServedModel>> models, ServiceOptions options);

  nlohmann::ordered_json models() const;

  std::shared_ptr<Job> samples(const std::string& body);
  std::shared_ptr<Job> completions(const std::string& body);
  std::shared_ptr<Job> likelihoods(const std::string& body);
  std::shared_ptr<Job> compress(const std::string& body);
  std::shared_ptr<Job> decompress(const std::string& body);

  std::shared_ptr<Job> job(const std::string& id) const { return board_.find(id); }
  void cancel(Job& job);
  // The PNG of a finished image. Throws Fault 404 and 409.
  std::string png(const Job& job, int64_t index) const;

  // Prometheus' text format.
  std::string metrics() const;

  // Takes no jobs any more, and cancels those that are not done.
  void stop();
  bool stopping() const { return stopping_; }

 private:
  void require_running() const;
  template <class Begin>
  std::shared_ptr<Job> start(JobDescription description, const Begin& begin);
  std::shared_ptr<Job> add(JobDescription description);
  const ServedModel& model_named(const std::optional<std::string>& name) const;
  DrawingParameters drawing_parameters(const Fields& fields, int64_t default_count) const;
  Image decode(const std::vector<uint8_t>& bytes, const std::string& source) const;
  Image decode_to_fit(const std::vector<uint8_t>& bytes, const std::string& source, bool resize,
                      const ModelConfig& config) const;
  int retry_after() const;
  std::shared_ptr<Job> draw(const Fields& fields, bool completes);

  const std::vector<std::unique_ptr<ServedModel>> models_;
  const ServiceOptions options_;
  JobBoard board_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex decoding_;
  std::atomic<int64_t> jobs_ = 0, refused_ = 0;
  Engine engine_;  // ends first
};

}  // namespace combiner

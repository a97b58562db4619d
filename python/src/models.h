// A model as Python holds it: at every precision that its work is done in.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "combiner/model.h"

namespace combiner {

// All its models share the weights. Call the member functions with the GIL. What they return stays
// where it is.
class Models {
 public:
  // Without a precision, each kind of work gets the one that is fastest here.
  Models(const std::filesystem::path& path, std::optional<Precision> precision, int threads);

  const ModelConfig& config() const { return first_.config(); }
  int threads() const { return threads_; }

  const Model& at(Precision precision);
  const Model& for_work(Work work) { return at(precision_.value_or(fastest_precision(work))); }

 private:
  std::optional<Precision> precision_;
  int threads_;
  Model first_;
  std::mutex mutex_;
  std::map<Precision, Model> others_;  // guarded by `mutex_`
};

// The most images that a thread decodes at once, as the program chooses it.
int batch_for(const Model& model, int threads);

// Throws std::invalid_argument, ValueError in Python, if there is no such precision.
Precision precision_called(const std::string& name);

}  // namespace combiner

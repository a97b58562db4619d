// A model that requests can name.
#pragma once

#include <string>
#include <vector>

#include "combiner/model.h"
#include "model/model.h"

namespace combiner {

class ServedModel {
 public:
  // `name` is what requests call it, `file` and `sha256` are those of the weights file.
  ServedModel(std::string name, std::string file, std::string sha256, const Model& model);

  const std::string& name() const { return name_; }
  const std::string& file() const { return file_; }
  const std::string& sha256() const { return sha256_; }
  const Weights& weights() const { return models_.front().weights(); }
  const ModelConfig& config() const { return models_.front().config(); }

  // Packed for this work by the first who asks, so that the engine need not wait for it.
  // Thread-safe.
  const Model& at(Precision precision, Work work) const;

 private:
  const std::string name_, file_, sha256_;
  std::vector<Model> models_;  // by their precision
};

}  // namespace combiner

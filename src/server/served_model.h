// A model that requests can name.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <string>

#include "combiner/model.h"
#include "model/model.h"

namespace combiner {

// Packed for each precision when it is first asked for.
class ServedModel {
 public:
  // `name` is what requests call it, `file` and `sha256` are those of the weights file.
  ServedModel(std::string name, std::string file, std::string sha256, Model model);

  const std::string& name() const { return name_; }
  const std::string& file() const { return file_; }
  const std::string& sha256() const { return sha256_; }
  const Weights& weights() const { return model_.weights(); }
  const ModelConfig& config() const { return model_.config(); }

  // Thread-safe.
  const Model& at(Precision precision) const;

 private:
  const std::string name_, file_, sha256_;
  const Model model_;
  mutable std::mutex mutex_;
  mutable std::array<std::optional<Model>, kPrecisions.size()> models_;
};

}  // namespace combiner

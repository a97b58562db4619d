#include "server/served_model.h"

#include <utility>

namespace combiner {

ServedModel::ServedModel(std::string name, std::string file, std::string sha256, Model model)
    : name_(std::move(name)),
      file_(std::move(file)),
      sha256_(std::move(sha256)),
      model_(std::move(model)) {}

const Model& ServedModel::at(Precision precision) const {
  const std::lock_guard lock(mutex_);
  std::optional<Model>& model = models_[static_cast<size_t>(precision)];
  if (!model) model.emplace(model_.at(precision));
  return *model;
}

}  // namespace combiner

#include "server/served_model.h"

#include <utility>

namespace combiner {

ServedModel::ServedModel(std::string name, std::string file, std::string sha256, const Model& model)
    : name_(std::move(name)), file_(std::move(file)), sha256_(std::move(sha256)) {
  for (const Precision precision : kPrecisions) models_.push_back(model.at(precision));
}

const Model& ServedModel::at(Precision precision, Work work) const {
  const Model& model = models_[static_cast<size_t>(precision)];
  if (work == Work::decoding)
    model.for_positions();
  else
    model.for_images();
  return model;
}

}  // namespace combiner

#include "combiner/sampler.h"

#include <atomic>
#include <stdexcept>

#include "base/in_use.h"
#include "sampling/drawing.h"

namespace combiner {

struct Sampler::State {
  Drawing drawing;
  int64_t first_index;
  std::atomic_flag in_use = {};
};

Sampler::Sampler(const Model& model, const SampleOptions& options, const Cancel& cancel)
    : state_(new State{{model, options, cancel}, options.first_index}) {}
Sampler::~Sampler() = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;

bool Sampler::draw(const SampleEvents& events) {
  const InUse<std::logic_error> in_use(state_->in_use,
                                       "Sampler::draw: the call before has not returned yet");
  const auto image = [first = state_->first_index](int64_t i) {
    return ImageToDraw{.index = first + i, .stream = static_cast<uint64_t>(first + i)};
  };
  return state_->drawing.draw(image, events);
}

bool sample(const Model& model, const SampleOptions& options, const SampleEvents& events) {
  try {
    return Sampler(model, options, events.cancel).draw(events);
  } catch (const Cancelled&) {
    return false;
  }
}

}  // namespace combiner

#include "combiner/sampler.h"

#include <atomic>
#include <stdexcept>

#include "sampling/drawing.h"

namespace combiner {
namespace {

// Marks a sampler as in use for as long as it lives.
class InUse {
 public:
  explicit InUse(std::atomic_flag& flag) : flag_(flag) {
    if (flag_.test_and_set(std::memory_order_acquire))
      throw std::logic_error("Sampler::draw: the call before has not returned yet");
  }
  ~InUse() { flag_.clear(std::memory_order_release); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace

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
  const InUse in_use(state_->in_use);
  const auto image = [first = state_->first_index](int64_t i) {
    return ImageToDraw{.index = first + i, .stream = static_cast<uint64_t>(first + i)};
  };
  return state_->drawing.draw(image, events);
}

bool sample(const Model& model, const SampleOptions& options, const SampleEvents& events) {
  try {
    return Sampler(model, options, Cancel(events.cancelled)).draw(events);
  } catch (const Cancelled&) {
    return false;
  }
}

}  // namespace combiner

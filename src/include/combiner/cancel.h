// Ending long work early.
#pragma once

#include <functional>
#include <utility>

namespace combiner {

// Thrown by work that ends early because it was asked to and has nothing finished that it could
// return. Nothing is wrong, so it is not an Error.
struct Cancelled {};

// Thrown where threads of a team wait for another that will not come any more. That thread's own
// exception says why.
struct BrokenBarrier {};

// Asks whether work should end early. A default-constructed one never says so.
class Cancel {
 public:
  Cancel() = default;
  // `asked` is called often, and by several threads at once. An empty one never says so.
  explicit Cancel(std::function<bool()> asked) : asked_(std::move(asked)) {}

  // Throws Cancelled if the work should end.
  void poll() const {
    if (asked()) throw Cancelled();
  }
  bool asked() const { return asked_ && asked_(); }

 private:
  std::function<bool()> asked_;
};

}  // namespace combiner

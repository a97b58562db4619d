#include "cluster/gathering.h"

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "cluster/agree.h"

namespace combiner {
namespace {

// Messages begin with one of these.
constexpr char kResult = 'r';
constexpr char kStop = 's';  // to rank 0, a wish; from it, an order
constexpr char kEnd = 'e';   // of a rank's share; then rank 0's, of all work; then the last message

constexpr auto kPause = std::chrono::milliseconds(1);  // between looks for messages

}  // namespace

Gathering::Gathering(Cluster& cluster, std::function<void(int, std::string)> take, Cancel cancel)
    : cluster_(cluster),
      take_(std::move(take)),
      cancel_(std::move(cancel)),
      working_(cluster.rank() == 0 ? cluster.size() - 1 : 1) {}

void Gathering::give(std::string result) {
  if (cluster_.rank() == 0)
    take_(0, std::move(result));
  else
    cluster_.send(0, kResult + std::move(result));
}

void Gathering::tell_others(char kind) {
  if (cluster_.rank() != 0) return cluster_.send(0, std::string(1, kind));
  for (int rank = 1; rank < cluster_.size(); ++rank) cluster_.send(rank, std::string(1, kind));
}

void Gathering::stop() {
  if (!stopped_.exchange(true)) tell_others(kStop);
}

bool Gathering::stopped() {
  if (!stopped_ && !asked_ && cancel_.asked()) asked_ = true;
  return stopped_ || asked_;
}

void Gathering::receive_all() {
  while (const std::optional<Cluster::Message> message = cluster_.receive()) {
    switch (message->bytes.front()) {
      case kResult:
        take_(message->from, message->bytes.substr(1));
        break;
      case kStop:
        if (cluster_.rank() == 0)
          stop();
        else
          stopped_ = true;
        break;
      default:
        --working_;
    }
  }
}

bool Gathering::go_on() {
  receive_all();
  if (stopped()) stop();
  return !stopped_;
}

bool Gathering::finish() {
  const auto wait = [this] {
    while (working_ > 0) {
      go_on();
      if (working_ > 0) std::this_thread::sleep_for(kPause);
    }
  };
  go_on();  // says before the end that this rank was stopped, if it was
  if (cluster_.rank() != 0) {
    tell_others(kEnd);
    wait();
    tell_others(kEnd);
    cluster_.barrier();
    return !stopped_;
  }
  wait();
  const bool whole = !stopped_.exchange(true);  // whoever wants to stop now is too late
  tell_others(kEnd);
  working_ = cluster_.size() - 1;
  wait();              // for what was sent before the others knew
  cluster_.barrier();  // nobody begins the next work while others end this one
  return whole;
}

bool Gathering::finish_after(const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
    stop();  // the other ranks wait for the end all the same
  }
  const bool whole = finish();
  sum_unless_failed(cluster_, 0, failure);
  return whole;
}

}  // namespace combiner

#include "server/engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kTurn = std::chrono::milliseconds(100);

}  // namespace

Engine::Engine(int threads, int64_t most_images)
    : most_images_(most_images), threads_(threads), server_([this] { serve(); }) {}

Engine::~Engine() {
  change([&] { stopping_ = true; });
  server_.join();
}

void Engine::decode(const Model& model, Tasks tasks) {
  auto group = std::make_shared<Group>(Group{&model});
  std::ranges::move(tasks, std::back_inserter(group->waiting));
  change([&] { groups_.push_back(std::move(group)); });
}

void Engine::run(std::vector<Piece> pieces) {
  change([&] { std::ranges::move(pieces, std::back_inserter(pieces_)); });
}

void Engine::look_again() {
  change([] {});
}

// Changes what the serving thread goes by, and has it look.
void Engine::change(const std::function<void()>& make) {
  {
    const std::lock_guard lock(mutex_);
    make();
    look_again_ = true;
  }
  wake_.notify_all();
}

EngineLoad Engine::load() const {
  const std::lock_guard lock(mutex_);
  EngineLoad load{.active = active_,
                  .waiting = std::ssize(pieces_),
                  .images = images_,
                  .busy_seconds = 1e-6 * static_cast<double>(busy_microseconds_)};
  for (const auto& group : groups_) load.waiting += std::ssize(group->waiting);
  return load;
}

void Engine::serve() {
  while (wait_for_work()) {
    const Clock::time_point start = Clock::now();
    for (Admitted& admitted : admit()) take_in(std::move(admitted));
    run_batches();
    run_pieces();
    busy_microseconds_ +=
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
  }
}

// Returns false if it is time to stop.
bool Engine::wait_for_work() {
  look_again_ = false;  // before all that is looked at
  for (auto& [model, batch] : batches_) batch.drop_cancelled();
  active_ = active();
  std::unique_lock lock(mutex_);
  wake_.wait(lock,
             [&] { return stopping_ || active_ > 0 || !groups_.empty() || !pieces_.empty(); });
  return !stopping_;
}

int64_t Engine::active() const {
  int64_t sum = 0;
  for (const auto& [model, batch] : batches_) sum += batch.size();
  return sum;
}

// Takes as many of the images that wait as there is room for.
std::vector<Engine::Admitted> Engine::admit() {
  std::vector<Admitted> admitted;
  std::vector<std::unique_ptr<PixelTask>> dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  for (const auto& group : groups_)
    std::erase_if(group->waiting, [&](std::unique_ptr<PixelTask>& task) {
      const bool drop = task->cancelled();
      if (drop) dropped.push_back(std::move(task));
      return drop;
    });
  for (int64_t room = most_images_ - active_;; --room) {
    std::erase_if(groups_, [](const auto& group) { return group->waiting.empty(); });
    if (room <= 0 || groups_.empty()) return admitted;
    // While many wait that have a start, those that make one have to wait for them.
    const bool many = std::ranges::count_if(groups_, [](const auto& each) {
                        return each->waiting.front()->start() != nullptr;
                      }) >= most_images_;
    // The images of a group in work hold it.
    const auto& group =
        *std::ranges::min_element(groups_, {}, [&](const std::shared_ptr<Group>& each) {
          return std::pair(many && each->waiting.front()->makes_start(), each.use_count());
        });
    admitted.push_back({group, std::move(group->waiting.front())});
    group->waiting.pop_front();
  }
}

// What can't be taken in fails alone: an exception would end the thread that serves all.
void Engine::take_in(Admitted admitted) {
  try {
    const Model& model = *admitted.group->model;
    Batch& batch = batches_.try_emplace(&model, model, threads_, most_images_).first->second;
    batch.add(admitted.task, admitted.group);
  } catch (const std::bad_alloc&) {
    admitted.task->fail("not enough memory for another image");
  } catch (const std::exception& error) {
    admitted.task->fail(error.what());
  }
}

void Engine::run_batches() {
  const auto in_work =
      std::ranges::count_if(batches_, [](const auto& each) { return each.second.size() > 0; });
  for (auto& [model, batch] : batches_) {
    if (batch.size() == 0) continue;
    bool alone = in_work == 1;
    if (alone) {
      const std::lock_guard lock(mutex_);
      alone = pieces_.empty();
    }
    const Clock::time_point end = Clock::now() + kTurn;
    const int64_t before = batch.size();
    batch.run([&] { return look_again_ || (!alone && Clock::now() >= end); });
    images_ += before - batch.size();
  }
}

void Engine::run_pieces() {
  const Clock::time_point end = Clock::now() + kTurn;
  do {
    std::vector<Piece> now, dropped;  // destroyed without the lock
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(pieces_, [&](Piece& piece) {
        const bool drop = piece.cancel.asked();
        if (drop) dropped.push_back(std::move(piece));
        return drop;
      });
      while (!pieces_.empty() && std::cmp_less(now.size(), threads_.size())) {
        now.push_back(std::move(pieces_.front()));
        pieces_.pop_front();
      }
    }
    if (now.empty()) return;
    threads_.for_each(std::ssize(now),
                      [&](int, int64_t index) { now[static_cast<size_t>(index)].run(); });
  } while (!look_again_ && Clock::now() < end);
}

}  // namespace combiner

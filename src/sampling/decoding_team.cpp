#include "sampling/decoding_team.h"

#include <chrono>

namespace combiner {

DecodingTeam::DecodingTeam(const Model& model, int64_t batch, int size)
    : session_(model, batch, size), followed_(static_cast<size_t>(size)) {
  if (size > 1) alone_.emplace(model, batch);
}

bool DecodingTeam::decode(std::span<ImageState* const> images, const ChooseValue& choose,
                          const std::function<Next()>& next, int rank) {
  if (rank > 0) return follow(images, choose, rank);
  Next now = next();
  for (; now == Next::step; now = next()) lead(images, choose);
  give(now == Next::finish ? Order::finish : Order::stop);
  return now == Next::finish;
}

// Decodes the next position, with the team or alone.
void DecodingTeam::lead(std::span<ImageState* const> images, const ChooseValue& choose) {
  if (!alone_) return session_.step(images, choose);
  const auto start = std::chrono::steady_clock::now();
  if (pace_.alone()) {
    if (!resting_) give(Order::rest);
    alone_->step(images, choose);
  } else {
    give(Order::step);
    session_.step(images, choose);
  }
  pace_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// Called by the first thread. Returns when all others are about to follow the order.
void DecodingTeam::give(Order order) {
  if (resting_) wake();
  resting_ = order == Order::rest;
  orders_[++given_ % 2] = order;
  session_.wait(0);
}

// What the other threads do while the first decodes. They sleep while they rest, because they would
// take processor time from it.
bool DecodingTeam::follow(std::span<ImageState* const> images, const ChooseValue& choose,
                          int rank) {
  for (;;) {
    const uint32_t wakes = wakes_;
    session_.wait(rank);
    switch (orders_[++followed_[static_cast<size_t>(rank)].orders % 2]) {
      case Order::step:
        session_.step(images, choose, rank);
        break;
      case Order::rest:
        wakes_.wait(wakes);
        break;
      case Order::finish:
        return true;
      case Order::stop:
        return false;
    }
  }
}

void DecodingTeam::wake() {
  ++wakes_;
  wakes_.notify_all();
}

void DecodingTeam::abandon() {
  session_.abandon();
  wake();
}

}  // namespace combiner

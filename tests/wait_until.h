// Waiting for what another process does.
#pragma once

#include <chrono>
#include <thread>

namespace combiner {

// Waits until the condition holds, for up to two minutes; returns whether it does.
template <class Condition>
bool wait_until(Condition holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (std::chrono::steady_clock::now() < deadline) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace combiner

// A cluster whose ranks are threads of the test.
#pragma once

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/cluster.h"

namespace combiner {

class ThreadCluster final : public Cluster {
 public:
  // What the ranks share.
  struct Place {
    explicit Place(int size) : given(static_cast<size_t>(size)), mail(static_cast<size_t>(size)) {}
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> given, exchanged;
    size_t arrived = 0;
    int round = 0;
    std::vector<std::deque<Message>> mail;
  };

  ThreadCluster(int rank, Place& place) : rank_(rank), place_(place) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(place_.given.size()); }
  std::string name() const override { return "rank " + std::to_string(rank_) + " on this"; }

  void start_sum(std::span<float> values) override {
    const std::lock_guard lock(place_.mutex);  // of any thread
    begun_.push_back(values);
  }
  void wait_for_sums() override {
    for (const std::span<float> values : begun_) {
      const std::vector<std::string> all = exchange(bytes_of(values));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = 0;
        for (const std::string& one : all) values[i] += number(one, i);
      }
    }
    begun_.clear();
  }
  void all_gather(std::span<float> values, std::span<const size_t> ends) override {
    const std::vector<std::string> all = exchange(bytes_of(values));
    size_t i = 0;
    for (size_t rank = 0; rank < all.size(); ++rank)
      for (; i < ends[rank]; ++i) values[i] = number(all[rank], i);
  }
  std::vector<std::string> exchange(const std::string& own) override {
    std::unique_lock lock(place_.mutex);
    place_.given[static_cast<size_t>(rank_)] = own;
    if (++place_.arrived == place_.given.size()) {
      place_.arrived = 0;
      place_.exchanged = place_.given;
      ++place_.round;
      place_.changed.notify_all();
    } else {
      place_.changed.wait(lock, [&, round = place_.round] { return place_.round != round; });
    }
    return place_.exchanged;
  }
  void send(int to, std::string bytes) override {
    const std::lock_guard lock(place_.mutex);
    place_.mail[static_cast<size_t>(to)].push_back({rank_, std::move(bytes)});
  }
  std::optional<Message> receive() override {
    const std::lock_guard lock(place_.mutex);
    std::deque<Message>& mail = place_.mail[static_cast<size_t>(rank_)];
    if (mail.empty()) return std::nullopt;
    Message message = std::move(mail.front());
    mail.pop_front();
    return message;
  }

 private:
  static std::string bytes_of(std::span<const float> values) {
    return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
  }
  static float number(const std::string& bytes, size_t i) {
    float value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    return value;
  }

  int rank_;
  Place& place_;
  std::vector<std::span<float>> begun_;
};

// Runs work(cluster) on each of `size` ranks, and returns what they said when they threw.
inline std::vector<std::string> on_ranks(int size, const std::function<void(Cluster&)>& work) {
  ThreadCluster::Place place(size);
  std::vector<std::string> thrown(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      ThreadCluster cluster(rank, place);
      try {
        work(cluster);
      } catch (const std::exception& error) {
        thrown[static_cast<size_t>(rank)] = error.what();
      } catch (...) {
        thrown[static_cast<size_t>(rank)] = "no exception of the standard library";
      }
    });
  for (std::thread& thread : threads) thread.join();
  return thrown;
}

}  // namespace combiner

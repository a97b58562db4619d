// The processes that work on one thing together: ranks 0 .. size - 1 of a cluster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace combiner {

// What this process has sent and waited for.
struct ClusterTraffic {
  int64_t bytes_summed = 0;    // sent for start_sum()
  int64_t bytes_gathered = 0;  // sent for all_gather()
  double summing_seconds = 0;  // in which sums were under way
  double waiting_seconds = 0;  // in which wait_for_sums() waited for them
};

// As it stands, a process alone, for which nothing is to be done. The other form is MPI's
// (mpi.cpp).
//
// What all ranks must call in the same order is said to be collective. Nothing is safe to be called
// by two threads at once, but for start_sum(), send() and receive() beside each other.
class Cluster {
 public:
  Cluster() = default;
  virtual ~Cluster() = default;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }
  // "rank 1 on node7", for messages.
  virtual std::string name() const { return {}; }

  // Collective. Begins to replace the values by their sums over all ranks, bit for bit the same on
  // every rank and in every run with as many ranks. The values must be left alone until
  // wait_for_sums() returns, which waits for all sums that were begun.
  virtual void start_sum(std::span<float> /*values*/) {}
  virtual void wait_for_sums() {}

  // Collective. Rank r gives the values from ends[r - 1] (rank 0: from 0) to ends[r] - 1 to the
  // others.
  virtual void all_gather(std::span<float> /*values*/, std::span<const size_t> /*ends*/) {}

  // Collective. Returns what each rank gave, by rank.
  virtual std::vector<std::string> exchange(const std::string& own) { return {own}; }
  // Collective. Returns when all ranks have called it.
  void barrier() {
    if (size() > 1) exchange({});
  }

  struct Message {
    int from = 0;
    std::string bytes;
  };
  // Sends to another rank and returns at once. Messages to a rank arrive in order.
  virtual void send(int /*to*/, std::string /*bytes*/) {}
  // The next message, if one has arrived.
  virtual std::optional<Message> receive() { return std::nullopt; }

  virtual ClusterTraffic traffic() const { return {}; }

  // For a rank that has failed. Returns whether it is the first one, which speaks for all: what is
  // wrong is often wrong on all ranks. The others then return false. Takes up to 10 seconds.
  virtual bool fails_first() { return true; }
  // Ends the processes of all ranks, this one with the exit code. Returns in a process alone.
  virtual void abort(int /*code*/) {}
};

// A process alone.
Cluster& single_process();

}  // namespace combiner

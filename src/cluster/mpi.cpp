// The cluster on MPI: a shared object of its own (combiner_mpi.so), so that the program needs MPI
// only where it was started by it. Nothing else knows MPI.
//
// Threads: MPI_THREAD_SERIALIZED. A thread of this cluster makes the sums; it and the program's
// threads call MPI under one mutex, and wait by looking again (MPI_Test), so that nobody holds the
// mutex for long, nor a processor.
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "base/share.h"
#include "cluster/cluster.h"

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMessageTag = 1;
constexpr int kRingTag = 2;
constexpr int kFailureTag = 3;
constexpr int kQuickLooks = 20;  // for what was to be waited for, before each look costs a pause
constexpr auto kPause = std::chrono::microseconds(20);

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class MpiCluster final : public Cluster {
 public:
  MpiCluster() {
    int threads = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads);
    if (threads < MPI_THREAD_SERIALIZED)
      throw std::runtime_error("this MPI was built without threads (MPI_THREAD_SERIALIZED)");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm_dup(MPI_COMM_WORLD, &sums_);
    summing_ = std::thread([this] { make_sums(); });
  }

  ~MpiCluster() override {
    {
      const std::lock_guard lock(queue_mutex_);
      ending_ = true;
    }
    queue_changed_.notify_all();
    summing_.join();
    for (Sent& sent : sent_) wait(sent.request);
    MPI_Comm_free(&sums_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::string name() const override {
    std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
    int length = 0;
    MPI_Get_processor_name(host.data(), &length);
    return "rank " + std::to_string(rank_) + " on " + host.data();
  }

  void start_sum(std::span<float> values) override {
    {
      const std::lock_guard lock(queue_mutex_);
      queue_.push_back(values);
    }
    queue_changed_.notify_all();
  }

  void wait_for_sums() override {
    const Clock::time_point start = Clock::now();
    std::unique_lock lock(queue_mutex_);
    queue_changed_.wait(lock, [this] { return queue_.empty(); });
    traffic_.waiting_seconds += seconds_since(start);
  }

  void all_gather(std::span<float> values, std::span<const size_t> ends) override {
    traffic_.bytes_gathered += pass_round(MPI_COMM_WORLD, values, ends, rank_);
  }

  std::vector<std::string> exchange(const std::string& own) override {
    const auto length = static_cast<int>(own.size());
    std::vector<int> lengths(static_cast<size_t>(size_)), begins(lengths.size());
    wait_for([&](MPI_Request& request) {
      MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
    });
    std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
    std::string bytes(static_cast<size_t>(begins.back() + lengths.back()), '\0');
    if (!bytes.empty())
      wait_for([&](MPI_Request& request) {
        MPI_Iallgatherv(own.data(), length, MPI_CHAR, bytes.data(), lengths.data(), begins.data(),
                        MPI_CHAR, MPI_COMM_WORLD, &request);
      });
    std::vector<std::string> all;
    for (size_t i = 0; i < lengths.size(); ++i)
      all.push_back(bytes.substr(static_cast<size_t>(begins[i]), static_cast<size_t>(lengths[i])));
    return all;
  }

  void send(int to, std::string bytes) override {
    const std::lock_guard lock(mpi_mutex_);
    Sent& sent = sent_.emplace_back();
    sent.bytes = std::move(bytes);
    MPI_Isend(sent.bytes.data(), static_cast<int>(sent.bytes.size()), MPI_CHAR, to, kMessageTag,
              MPI_COMM_WORLD, &sent.request);
    forget_what_has_arrived();
  }

  std::optional<Message> receive() override {
    const std::lock_guard lock(mpi_mutex_);
    forget_what_has_arrived();
    int there = 0;
    if (arriving_ == MPI_REQUEST_NULL) {
      MPI_Status status;
      MPI_Iprobe(MPI_ANY_SOURCE, kMessageTag, MPI_COMM_WORLD, &there, &status);
      if (!there) return std::nullopt;
      int length = 0;
      MPI_Get_count(&status, MPI_CHAR, &length);
      message_ = {status.MPI_SOURCE, std::string(static_cast<size_t>(length), '\0')};
      MPI_Irecv(message_.bytes.data(), length, MPI_CHAR, message_.from, kMessageTag, MPI_COMM_WORLD,
                &arriving_);
    }
    // The rest of a long message may need the sender, who is busy.
    MPI_Test(&arriving_, &there, MPI_STATUS_IGNORE);
    return there ? std::optional(std::move(message_)) : std::nullopt;
  }

  ClusterTraffic traffic() const override { return traffic_; }

  bool fails_first() override {
    // One after the other, so that not all are the first.
    constexpr auto kTurn = std::chrono::milliseconds(250);
    constexpr int kMostTurns = 40;
    const Clock::time_point turn = Clock::now() + kTurn * std::min(rank_, kMostTurns);
    do {
      int failed = 0;
      {
        const std::lock_guard lock(mpi_mutex_);
        MPI_Iprobe(MPI_ANY_SOURCE, kFailureTag, MPI_COMM_WORLD, &failed, MPI_STATUS_IGNORE);
      }
      if (failed) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } while (Clock::now() < turn);
    const std::lock_guard lock(mpi_mutex_);
    for (int other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Isend(nullptr, 0, MPI_CHAR, other, kFailureTag, MPI_COMM_WORLD, &request);
      MPI_Request_free(&request);
    }
    return true;
  }

  void abort(int code) override {
    const std::lock_guard lock(mpi_mutex_);
    MPI_Abort(MPI_COMM_WORLD, code);
  }

 private:
  struct Sent {
    std::string bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void forget_what_has_arrived() {
    sent_.remove_if([](Sent& sent) {
      int arrived = 0;
      MPI_Test(&sent.request, &arrived, MPI_STATUS_IGNORE);
      return arrived != 0;
    });
  }

  void wait(MPI_Request& request) {
    for (int looks = 0;; ++looks) {
      int done = 0;
      {
        const std::lock_guard lock(mpi_mutex_);
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      }
      if (done) return;
      if (looks >= kQuickLooks) std::this_thread::sleep_for(kPause);
    }
  }

  template <class Start>
  void wait_for(const Start& start) {
    MPI_Request request = MPI_REQUEST_NULL;
    {
      const std::lock_guard lock(mpi_mutex_);
      start(request);
    }
    wait(request);
  }

  int neighbour(int distance) const { return (rank_ + distance + size_) % size_; }

  // Sends one part of the values to the next rank while another one comes from the rank before.
  // Returns the number of bytes sent.
  int64_t pass_on(MPI_Comm comm, std::span<const float> to, std::span<float> from) {
    if (std::max(to.size(), from.size()) > INT_MAX)
      throw std::runtime_error("more than 2^31 numbers at once for MPI");
    std::array<MPI_Request, 2> requests;
    {
      const std::lock_guard lock(mpi_mutex_);
      MPI_Irecv(from.data(), static_cast<int>(from.size()), MPI_FLOAT, neighbour(-1), kRingTag,
                comm, &requests[0]);
      MPI_Isend(to.data(), static_cast<int>(to.size()), MPI_FLOAT, neighbour(1), kRingTag, comm,
                &requests[1]);
    }
    for (MPI_Request& request : requests) wait(request);
    return static_cast<int64_t>(to.size_bytes());
  }

  static std::span<float> part(std::span<float> values, std::span<const size_t> ends, int index) {
    const auto i = static_cast<size_t>(index);
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return values.subspan(begin, ends[i] - begin);
  }

  // All parts go round the ring once. This rank begins with part `own`.
  int64_t pass_round(MPI_Comm comm, std::span<float> values, std::span<const size_t> ends,
                     int own) {
    int64_t bytes = 0;
    for (int step = 0; step < size_ - 1; ++step) {
      const int have = (own - step + size_) % size_;
      bytes +=
          pass_on(comm, part(values, ends, have), part(values, ends, (have - 1 + size_) % size_));
    }
    return bytes;
  }

  // Two rounds: in the first, each part gathers a rank's values at every station, in a fixed order,
  // until it is complete; in the second, it is passed to all. Each rank sends 2 (N - 1) / N of the
  // values, the least that is possible. The order of the additions depends on N only.
  void sum(std::span<float> values) {
    std::vector<size_t> ends;
    for (int i = 0; i < size_; ++i)
      ends.push_back(static_cast<size_t>(part_of(std::ssize(values), i, size_).last));
    for (int step = 0; step < size_ - 1; ++step) {
      const int have = neighbour(-step);
      const std::span<float> mine = part(values, ends, (have - 1 + size_) % size_);
      incoming_.resize(std::max(incoming_.size(), mine.size()));
      traffic_.bytes_summed +=
          pass_on(sums_, part(values, ends, have), std::span(incoming_).first(mine.size()));
      for (size_t i = 0; i < mine.size(); ++i) mine[i] += incoming_[i];
    }
    traffic_.bytes_summed += pass_round(sums_, values, ends, neighbour(1));
  }

  // The thread that makes the sums, one after the other.
  void make_sums() {
    std::unique_lock lock(queue_mutex_);
    for (;;) {
      queue_changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::span<float> values = queue_.front();
      lock.unlock();
      const Clock::time_point start = Clock::now();
      sum(values);
      lock.lock();
      traffic_.summing_seconds += seconds_since(start);
      queue_.pop_front();
      queue_changed_.notify_all();
    }
  }

  int rank_ = 0, size_ = 1;
  std::mutex mpi_mutex_;
  std::list<Sent> sent_;  // may not have arrived
  Message message_;       // that arrives
  MPI_Request arriving_ = MPI_REQUEST_NULL;
  MPI_Comm sums_ = MPI_COMM_NULL;
  std::vector<float> incoming_;
  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<std::span<float>> queue_;  // the first is being summed
  bool ending_ = false;
  ClusterTraffic traffic_;
  std::thread summing_;
};

}  // namespace
}  // namespace combiner

extern "C" combiner::Cluster* combiner_open_mpi() { return new combiner::MpiCluster(); }

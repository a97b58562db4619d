// What the ranks of a cluster agree on.
#pragma once

#include <cstring>
#include <exception>
#include <string>
#include <type_traits>

#include "cluster/cluster.h"
#include "combiner/error.h"

namespace combiner {

// Collective. Returns rank 0's value.
template <class T>
T from_rank_0(Cluster& cluster, const T& own) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (cluster.size() == 1) return own;
  const auto* const bytes = reinterpret_cast<const char*>(&own);
  const std::string first =
      cluster.exchange(cluster.rank() == 0 ? std::string(bytes, sizeof own) : std::string())[0];
  T value;
  std::memcpy(&value, first.data(), sizeof value);
  return value;
}

// Collective. Whether it is true on all ranks.
bool on_all(Cluster& cluster, bool own);

// An error of one rank, which it names, thrown on all.
class SharedError : public Error {
 public:
  using Error::Error;
};

// Collective. Returns the sum of the values, added in order of the ranks. If work failed somewhere,
// with `failure`, all ranks throw SharedError, NotFinite if it was that or, if it was only
// cancelled, Cancelled. A process alone throws what it was given.
double sum_unless_failed(Cluster& cluster, double own, const std::exception_ptr& failure);

// Collective. Throws Error unless `own`, the value of `what`, is the same on all ranks.
void check_same(Cluster& cluster, const std::string& what, const std::string& own);

}  // namespace combiner

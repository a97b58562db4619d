#include "cluster/agree.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <vector>

#include "combiner/cancel.h"

namespace combiner {
namespace {

// What a rank says of its part: a digit, and the value's bytes or a message.
enum class Outcome : char { done = '0', cancelled = '1', not_finite = '2', failed = '3' };

std::string report(Cluster& cluster, double value, const std::exception_ptr& failure) {
  const auto say = [](Outcome outcome, const std::string& text) {
    return static_cast<char>(outcome) + text;
  };
  if (!failure)
    return say(Outcome::done, std::string(reinterpret_cast<const char*>(&value), sizeof value));
  try {
    std::rethrow_exception(failure);
  } catch (const Cancelled&) {
    return say(Outcome::cancelled, {});
  } catch (const std::bad_alloc&) {
    return say(Outcome::failed, cluster.name() + ": not enough memory");
  } catch (const NotFinite& error) {
    return say(Outcome::not_finite, fmt::format("{}: {}", cluster.name(), error.what()));
  } catch (const std::exception& error) {
    return say(Outcome::failed, fmt::format("{}: {}", cluster.name(), error.what()));
  }
}

}  // namespace

bool on_all(Cluster& cluster, bool own) {
  if (cluster.size() == 1) return own;
  const std::vector<std::string> all = cluster.exchange(own ? "1" : "0");
  return std::ranges::all_of(all, [](const std::string& one) { return one == "1"; });
}

double sum_unless_failed(Cluster& cluster, double own, const std::exception_ptr& failure) {
  if (cluster.size() == 1) {
    if (failure) std::rethrow_exception(failure);
    return own;
  }
  const std::vector<std::string> all = cluster.exchange(report(cluster, own, failure));
  const auto worst =
      std::ranges::max_element(all, {}, [](const std::string& one) { return one.front(); });
  if (worst->front() == static_cast<char>(Outcome::failed)) throw SharedError(worst->substr(1));
  if (worst->front() == static_cast<char>(Outcome::not_finite)) throw NotFinite(worst->substr(1));
  if (worst->front() == static_cast<char>(Outcome::cancelled)) throw Cancelled();
  double sum = 0;
  for (const std::string& one : all) {
    double value = 0;
    std::memcpy(&value, one.data() + 1, sizeof value);
    sum += value;
  }
  return sum;
}

void check_same(Cluster& cluster, const std::string& what, const std::string& own) {
  const std::vector<std::string> all = cluster.exchange(own);
  const auto other = std::ranges::find_if(all, [&](const std::string& one) { return one != own; });
  if (other != all.end())
    throw Error(fmt::format("{} is {}, and {} on rank {}; all ranks must have the same", what, own,
                            *other, other - all.begin()));
}

}  // namespace combiner

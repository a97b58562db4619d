#include "base/peak_memory.h"

#include <vector>

#include "catch.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

constexpr size_t kMegabyte = 1 << 20;

TEST_CASE("peak memory is the most that the work held at once, beyond what was held before") {
  if (kAddressSanitizer) SKIP_TEST("the address sanitizer keeps what is freed");
  return_freed_memory();
  // A large buffer only takes memory once it is written to.
  const auto write = [](size_t megabytes) {
    Buffer<uint8_t> buffer(megabytes * kMegabyte);
    buffer.fill(1);
    return buffer;
  };
  const Buffer<uint8_t> before = write(64);
  for (const size_t megabytes : {30, 20, 10}) write(megabytes);
  const PeakMemory memory;
  if (!memory.bytes()) SKIP_TEST("the system keeps no count of peak memory");
  for (const size_t megabytes : {24, 40, 16}) write(megabytes);
  const auto peak = static_cast<double>(*memory.bytes()) / kMegabyte;
  CHECK(peak > 38);
  CHECK(peak < 44);

  // Small blocks count too, although the allocator keeps some freed ones.
  const auto hold = [](size_t blocks) {
    std::vector<Buffer<uint8_t>> held;
    for (size_t i = 0; i < blocks; ++i) held.emplace_back(size_t{32'000});
  };
  hold(1000);
  const PeakMemory small;
  hold(1000);
  CHECK(*small.bytes() > 30'000'000);

  // A new measurement starts from zero.
  const PeakMemory nothing;
  CHECK(static_cast<double>(*nothing.bytes()) / kMegabyte < 4);
}

}  // namespace
}  // namespace combiner

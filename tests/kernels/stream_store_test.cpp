#include "kernels/stream_store.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "catch.h"
#include "instruction_sets.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

// Rows that consist of whole, aligned cache lines, and rows that do not.
template <class T>
void check() {
  constexpr auto kLine = static_cast<int64_t>(64 / sizeof(T));
  constexpr int64_t kRows = 3;
  for (const int64_t columns : {kLine, 4 * kLine, 4 * kLine + 1, int64_t{1}})
    for (const int64_t stride : {columns, columns + kLine, columns + 3})
      for (const int64_t first : {int64_t{0}, int64_t{1}, kLine}) {
        std::vector<T> values(static_cast<size_t>(kRows * (columns + 2)));
        for (size_t i = 0; i < values.size(); ++i) {
          if constexpr (std::is_same_v<T, bfloat16>)
            values[i] = {static_cast<uint16_t>(i + 1)};
          else
            values[i] = static_cast<T>(i % 100 + 1);
        }
        const Matrix<const T> from(values.data(), kRows, columns, columns + 2);
        Buffer<T> place(static_cast<size_t>(first + kRows * stride + 1));
        stream_store<T>(from, {place.data() + first, kRows, columns, stride});
        Buffer<T> expected(place.size());
        for (int64_t i = 0; i < kRows; ++i)
          std::copy_n(from.row(i), columns, expected.data() + first + i * stride);
        INFO(columns << " columns, stride " << stride << ", from " << first);
        CHECK(std::equal(place.begin(), place.end(), expected.begin(),
                         [](T a, T b) { return std::memcmp(&a, &b, sizeof(T)) == 0; }));
      }
}

}  // namespace

TEST_CASE("stream_store copies rows at any alignment and writes nothing else") {
  for_each_instruction_set([] {
    check<float>();
    check<bfloat16>();
    check<int8_t>();
  });
}

}  // namespace combiner

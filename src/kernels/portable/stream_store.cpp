#include "kernels/stream_store.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/stream_store.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows are whole cache lines, and those of `to` are aligned to cache lines.
void StreamStore(const Matrix<const uint8_t>& from, const Matrix<uint8_t>& to) {
  constexpr int64_t kLine = 64;
  const hn::CappedTag<uint8_t, kLine> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < from.rows; ++i)
    for (int64_t j = 0; j < from.columns; j += lanes)
      hn::Stream(hn::LoadU(d, from.row(i) + j), d, to.row(i) + j);
  // Must complete before other threads are told that they may read the data.
  hwy::FlushStream();
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {
namespace {

HWY_EXPORT(StreamStore);

template <class Byte, class T>
Matrix<Byte> bytes_of(const Matrix<T>& m) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  return {reinterpret_cast<Byte*>(m.data), m.rows, m.columns * kSize, m.stride * kSize};
}

}  // namespace

template <class T>
void stream_store(Matrix<const T> from, Matrix<T> to) {
  constexpr uintptr_t kLine = 64;
  const auto bytes = bytes_of<uint8_t>(to);
  const auto alignment_bits = reinterpret_cast<uintptr_t>(bytes.data) |
                              static_cast<uintptr_t>(bytes.columns) |
                              static_cast<uintptr_t>(bytes.stride);
  if (alignment_bits % kLine == 0)
    HWY_DYNAMIC_DISPATCH(StreamStore)(bytes_of<const uint8_t>(from), bytes);
  else
    for (int64_t i = 0; i < from.rows; ++i) std::copy_n(from.row(i), from.columns, to.row(i));
}
template void stream_store(Matrix<const float>, Matrix<float>);
template void stream_store(Matrix<const bfloat16>, Matrix<bfloat16>);
template void stream_store(Matrix<const int8_t>, Matrix<int8_t>);

}  // namespace combiner
#endif  // HWY_ONCE

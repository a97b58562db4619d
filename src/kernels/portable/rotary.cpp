#include "kernels/rotary.h"

#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/rotary.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// `angles` is memory for one head's angles: the cosines, then the sines.
template <class From, class To>
void RotateHeads(const Matrix<const From>& from, int64_t first, const RotaryAngles& of, float sign,
                 float* angles, const Matrix<To>& to) {
  const int64_t quarter = of.of_row.columns / 2;
  const int64_t half = 2 * quarter;
  const float* cosines = angles;
  const float* sines = angles + half;
  for (int64_t i = 0; i < from.rows; ++i) {
    const int64_t row = (first + i) / of.of_column.rows;
    const int64_t column = (first + i) % of.of_column.rows;
    for (int64_t j = 0; j < quarter; ++j) {
      angles[j] = of.of_row.row(row)[j];
      angles[quarter + j] = of.of_column.row(column)[j];
      angles[half + j] = sign * of.of_row.row(row)[quarter + j];
      angles[half + quarter + j] = sign * of.of_column.row(column)[quarter + j];
    }
    for (int64_t head = 0; head < from.columns; head += 2 * half) {
      const From* a = from.row(i) + head;
      const From* b = a + half;
      To* to_a = to.row(i) + head;
      To* to_b = to_a + half;
      ForEachVector(half, [&](auto d, int64_t j) COMBINER_VISITOR {
        const auto cosine = hn::LoadU(d, cosines + j);
        const auto sine = hn::LoadU(d, sines + j);
        const auto x = LoadFloats(d, a + j);
        const auto y = LoadFloats(d, b + j);
        StoreFloats(d, hn::NegMulAdd(y, sine, hn::Mul(x, cosine)), to_a + j);
        StoreFloats(d, hn::MulAdd(x, sine, hn::Mul(y, cosine)), to_b + j);
      });
    }
  }
}

void RotateFloats(const Matrix<const float>& from, int64_t first, const RotaryAngles& of,
                  float sign, float* angles, const Matrix<float>& to) {
  RotateHeads(from, first, of, sign, angles, to);
}
void RotateAndRound(const Matrix<const float>& from, int64_t first, const RotaryAngles& of,
                    float sign, float* angles, const Matrix<bfloat16>& to) {
  RotateHeads(from, first, of, sign, angles, to);
}
void RotateBfloat16(const Matrix<const bfloat16>& from, int64_t first, const RotaryAngles& of,
                    float sign, float* angles, const Matrix<bfloat16>& to) {
  RotateHeads(from, first, of, sign, angles, to);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {
namespace {

HWY_EXPORT(RotateFloats);
HWY_EXPORT(RotateAndRound);
HWY_EXPORT(RotateBfloat16);

float sign_of(Rotation rotation) { return rotation == Rotation::forward ? 1.0f : -1.0f; }

// Calls work(angles), where `angles` is memory for one head's angles.
template <class Work>
void with_angles(const RotaryAngles& of, Work&& work) {
  constexpr int64_t kUsual = 256;
  const int64_t head_dim = 2 * of.of_row.columns;
  float usual[kUsual];
  std::vector<float> large(static_cast<size_t>(head_dim > kUsual ? head_dim : 0));
  work(large.empty() ? usual : large.data());
}

}  // namespace

template <>
void rotate_heads(Matrix<const float> from, int64_t first, const RotaryAngles& of,
                  Rotation rotation, Matrix<float> to) {
  with_angles(of, [&](float* angles) {
    HWY_DYNAMIC_DISPATCH(RotateFloats)(from, first, of, sign_of(rotation), angles, to);
  });
}
template <>
void rotate_heads(Matrix<const float> from, int64_t first, const RotaryAngles& of,
                  Rotation rotation, Matrix<bfloat16> to) {
  with_angles(of, [&](float* angles) {
    HWY_DYNAMIC_DISPATCH(RotateAndRound)(from, first, of, sign_of(rotation), angles, to);
  });
}
template <>
void rotate_heads(Matrix<const bfloat16> from, int64_t first, const RotaryAngles& of,
                  Rotation rotation, Matrix<bfloat16> to) {
  with_angles(of, [&](float* angles) {
    HWY_DYNAMIC_DISPATCH(RotateBfloat16)(from, first, of, sign_of(rotation), angles, to);
  });
}

}  // namespace combiner
#endif  // HWY_ONCE

#include "kernels/rows.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class From, class To>
void Convert(const Matrix<const From>& from, const Matrix<To>& to) {
  for (int64_t i = 0; i < from.rows; ++i) ConvertRow(from.row(i), from.columns, to.row(i));
}

template <class T>
HWY_INLINE void AddTo(const T* from, int64_t count, float* HWY_RESTRICT to) {
  ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
    hn::StoreU(hn::Add(hn::LoadU(d, to + j), LoadFloats(d, from + j)), d, to + j);
  });
}

template <class T>
void AddColumnSums(const Matrix<const T>& from, float* to) {
  for (int64_t i = 0; i < from.rows; ++i) AddTo(from.row(i), from.columns, to);
}

void ConvertToBfloat16(const Matrix<const float>& from, const Matrix<bfloat16>& to) {
  Convert(from, to);
}
void ConvertToFloat(const Matrix<const bfloat16>& from, const Matrix<float>& to) {
  Convert(from, to);
}
void CopyFloat(const Matrix<const float>& from, const Matrix<float>& to) { Convert(from, to); }
void CopyBfloat16(const Matrix<const bfloat16>& from, const Matrix<bfloat16>& to) {
  Convert(from, to);
}
void AddColumnSumsFloat(const Matrix<const float>& from, float* to) { AddColumnSums(from, to); }
void AddColumnSumsBfloat16(const Matrix<const bfloat16>& from, float* to) {
  AddColumnSums(from, to);
}
void AddRows(const Matrix<const float>& from, const Matrix<float>& to) {
  for (int64_t i = 0; i < from.rows; ++i) AddTo(from.row(i), from.columns, to.row(i));
}

template <class T>
void MultiplyElements(const Matrix<const T>& by, const Matrix<T>& to) {
  for (int64_t i = 0; i < to.rows; ++i) {
    const T* from = by.row(i);
    T* row = to.row(i);
    ForEachVector(to.columns, [&](auto d, int64_t j) COMBINER_VISITOR {
      FetchAhead(from + j);
      StoreFloats(d, hn::Mul(LoadFloats(d, row + j), LoadFloats(d, from + j)), row + j);
    });
  }
}
void MultiplyElementsFloat(const Matrix<const float>& by, const Matrix<float>& to) {
  MultiplyElements(by, to);
}
void MultiplyElementsBfloat16(const Matrix<const bfloat16>& by, const Matrix<bfloat16>& to) {
  MultiplyElements(by, to);
}

void SumRows(const float* const* rows, int64_t number, int64_t count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    auto sum = hn::Zero(d);
    for (int64_t r = 0; r < number; ++r) sum = hn::Add(sum, hn::LoadU(d, rows[r] + j));
    hn::StoreU(sum, d, to + j);
  }
  for (; j < count; ++j) {
    float sum = 0.0f;
    for (int64_t r = 0; r < number; ++r) sum += rows[r][j];
    to[j] = sum;
  }
}

template <class T>
void HeadProducts(const Matrix<const float>& a, const Matrix<const T>& b, int64_t head_dim,
                  const Matrix<float>& out) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t h = 0; h < out.columns; ++h) {
      const float* x = a.row(i) + h * head_dim;
      const T* y = b.row(i) + h * head_dim;
      auto sum = hn::Zero(d);
      int64_t j = 0;
      for (; j + lanes <= head_dim; j += lanes)
        sum = hn::MulAdd(hn::LoadU(d, x + j), LoadFloats(d, y + j), sum);
      float total = hn::GetLane(hn::SumOfLanes(d, sum));
      for (; j < head_dim; ++j) total += x[j] * OneToFloat(y[j]);
      out.row(i)[h] = total;
    }
  }
}
void HeadProductsFloat(const Matrix<const float>& a, const Matrix<const float>& b, int64_t head_dim,
                       const Matrix<float>& out) {
  HeadProducts(a, b, head_dim, out);
}
void HeadProductsBfloat16(const Matrix<const float>& a, const Matrix<const bfloat16>& b,
                          int64_t head_dim, const Matrix<float>& out) {
  HeadProducts(a, b, head_dim, out);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(ConvertToBfloat16);
HWY_EXPORT(ConvertToFloat);
HWY_EXPORT(CopyFloat);
HWY_EXPORT(CopyBfloat16);
HWY_EXPORT(AddColumnSumsFloat);
HWY_EXPORT(AddColumnSumsBfloat16);
HWY_EXPORT(AddRows);
HWY_EXPORT(SumRows);
HWY_EXPORT(MultiplyElementsFloat);
HWY_EXPORT(MultiplyElementsBfloat16);
HWY_EXPORT(HeadProductsFloat);
HWY_EXPORT(HeadProductsBfloat16);

template <>
void convert(Matrix<const float> from, Matrix<bfloat16> to) {
  HWY_DYNAMIC_DISPATCH(ConvertToBfloat16)(from, to);
}
template <>
void convert(Matrix<const bfloat16> from, Matrix<float> to) {
  HWY_DYNAMIC_DISPATCH(ConvertToFloat)(from, to);
}
template <>
void convert(Matrix<const float> from, Matrix<float> to) {
  HWY_DYNAMIC_DISPATCH(CopyFloat)(from, to);
}
template <>
void convert(Matrix<const bfloat16> from, Matrix<bfloat16> to) {
  HWY_DYNAMIC_DISPATCH(CopyBfloat16)(from, to);
}
void clear(Matrix<float> m) {
  for (int64_t i = 0; i < m.rows; ++i) std::fill_n(m.row(i), m.columns, 0.0f);
}
template <>
void add_column_sums(Matrix<const float> from, float* to) {
  HWY_DYNAMIC_DISPATCH(AddColumnSumsFloat)(from, to);
}
template <>
void add_column_sums(Matrix<const bfloat16> from, float* to) {
  HWY_DYNAMIC_DISPATCH(AddColumnSumsBfloat16)(from, to);
}
void sum_rows(std::span<const float* const> rows, std::span<float> to) {
  HWY_DYNAMIC_DISPATCH(SumRows)
  (rows.data(), static_cast<int64_t>(rows.size()), static_cast<int64_t>(to.size()), to.data());
}
void add_rows(Matrix<const float> from, Matrix<float> to) {
  HWY_DYNAMIC_DISPATCH(AddRows)(from, to);
}
void add_row(std::span<const float> from, float* to) {
  const auto count = static_cast<int64_t>(from.size());
  add_rows({from.data(), 1, count}, {to, 1, count});
}
template <>
void multiply_elements(Matrix<const float> by, Matrix<float> to) {
  HWY_DYNAMIC_DISPATCH(MultiplyElementsFloat)(by, to);
}
template <>
void multiply_elements(Matrix<const bfloat16> by, Matrix<bfloat16> to) {
  HWY_DYNAMIC_DISPATCH(MultiplyElementsBfloat16)(by, to);
}
template <>
void head_products(Matrix<const float> a, Matrix<const float> b, int64_t head_dim,
                   Matrix<float> out) {
  HWY_DYNAMIC_DISPATCH(HeadProductsFloat)(a, b, head_dim, out);
}
template <>
void head_products(Matrix<const float> a, Matrix<const bfloat16> b, int64_t head_dim,
                   Matrix<float> out) {
  HWY_DYNAMIC_DISPATCH(HeadProductsBfloat16)(a, b, head_dim, out);
}

}  // namespace combiner
#endif  // HWY_ONCE

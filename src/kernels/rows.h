// Basic operations on the rows of matrices: conversions, sums and products.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// to = from, converted to To. Float to bfloat16 rounds to nearest even.
template <class From, class To>
void convert(Matrix<const From> from, Matrix<To> to);

// m = 0. Best called just before adding to m, while the zeros are still in cache.
void clear(Matrix<float> m);

// to[j] += the sum of column j of `from`, added in the order of the rows.
template <class T>
void add_column_sums(Matrix<const T> from, float* to);

// to[j] = the sum of the j-th elements of all rows. Each row has to.size() elements.
void sum_rows(std::span<const float* const> rows, std::span<float> to);

// to[j] += from[j].
void add_row(std::span<const float> from, float* to);

// to += from.
void add_rows(Matrix<const float> from, Matrix<float> to);

// to *= by, element by element.
template <class T>
void multiply_elements(Matrix<const T> by, Matrix<T> to);

// out(i, h) = the dot product of row i of a and row i of b over the columns of head h,
// [h head_dim, (h + 1) head_dim).
template <class T>
void head_products(Matrix<const float> a, Matrix<const T> b, int64_t head_dim, Matrix<float> out);

}  // namespace combiner

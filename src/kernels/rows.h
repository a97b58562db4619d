// Plain arithmetic on the rows of matrices: sums, conversions, products of rows.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// to = from, in either type; float to bfloat16 rounds to nearest even.
template <class From, class To>
void convert(Matrix<const From> from, Matrix<To> to);

// m = 0. Best called where something is about to be added: what was cleared is still in cache then.
void clear(Matrix<float> m);

// to[j] += sum over rows of from, in order.
template <class T>
void add_column_sums(Matrix<const T> from, float* to);

// to[j] = the sum of the rows' j-th elements; each row has to.size() elements.
void sum_rows(std::span<const float* const> rows, std::span<float> to);

// to[j] += from[j].
void add_row(std::span<const float> from, float* to);

// to += from.
void add_rows(Matrix<const float> from, Matrix<float> to);

// to *= by, element by element.
template <class T>
void multiply_elements(Matrix<const T> by, Matrix<T> to);

// For each row i and head h: out(i, h) = the dot product of a's and b's columns
// [h head_dim, (h + 1) head_dim).
template <class T>
void head_products(Matrix<const float> a, Matrix<const T> b, int64_t head_dim, Matrix<float> out);

}  // namespace combiner

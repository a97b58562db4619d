// The numbers that a model computes with.
#pragma once

#include <string_view>

#include "matmul/matmul.h"
#include "model/attention/shape.h"
#include "model/parameters.h"

namespace combiner {

// What matrix products are made with; sums, normalisation, softmax and the loss are always in
// float. int8 is as bf16, except that quantizable weights are 8-bit integers times one scale a row
// (quantize_row), and the inputs of their products are rounded too (PanelWeights::pack).
enum class Precision { f32, bf16, int8 };
// "f32", "bf16", "int8"
std::string_view name(Precision precision);
// What products read, and what is kept between them.
ElementType product_type(Precision precision);
// How summaries are kept while decoding: in 8 bits in int8.
KeptSummaries kept_summaries(Precision precision);
// What the dense weight at `offset` is rounded to in a model of `precision`: that, or bf16 where
// it is int8 and the weight is not quantizable.
Precision weight_precision(const ParameterLayout& layout, size_t offset, Precision precision);

}  // namespace combiner

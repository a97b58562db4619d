// What a precision means for weights, products and states.
#pragma once

#include "combiner/precision.h"
#include "matmul/matmul.h"
#include "model/attention/shape.h"
#include "model/parameters.h"

namespace combiner {

// What products read, and what is kept between them.
ElementType product_type(Precision precision);
// How summaries are kept while decoding: in 8 bits in int8.
KeptSummaries kept_summaries(Precision precision);
// What the dense weight at `offset` is rounded to in a model of `precision`: that, or bf16 where
// it is int8 and the weight is not quantizable.
Precision weight_precision(const ParameterLayout& layout, size_t offset, Precision precision);

}  // namespace combiner

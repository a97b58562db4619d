// What a precision means for weights, products and states.
#pragma once

#include "combiner/precision.h"
#include "matmul/matmul.h"
#include "model/attention/shape.h"
#include "model/parameters.h"

namespace combiner {

// The operand type of matrix products, which is also the type of the values stored between them.
ElementType product_type(Precision precision);
// How decoding stores summaries in a model of `precision`: in 8 bits for int8.
KeptSummaries kept_summaries(Precision precision);
// The precision that the dense weight at `offset` is rounded to in a model of `precision`. In an
// int8 model, weights that are not quantizable are bf16.
Precision weight_precision(const ParameterLayout& layout, size_t offset, Precision precision);

}  // namespace combiner

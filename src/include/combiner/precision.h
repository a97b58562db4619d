// The numbers that a model computes with.
#pragma once

#include <string_view>

namespace combiner {

// What matrix products are made with; sums, normalisation, softmax and the loss are always in
// float. int8 is as bf16, except that quantizable weights are 8-bit integers times one scale a row
// and the inputs of their products are rounded to 8 bits too.
enum class Precision { f32, bf16, int8 };

// "f32", "bf16", "int8"
std::string_view name(Precision precision);

}  // namespace combiner

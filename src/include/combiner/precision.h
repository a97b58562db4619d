// The numeric precision that a model computes in.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace combiner {

// The operand format of matrix products. Sums, normalisation, softmax and the loss are always in
// float. int8 is bf16, except that quantizable weights are 8-bit integers with one scale per row
// (output), and the inputs of their products and axial_rowmajor's summaries are rounded to 8 bits
// too.
enum class Precision { f32, bf16, int8 };

inline constexpr std::array kPrecisions = {Precision::f32, Precision::bf16, Precision::int8};

// What a program spends its time with: positions one at a time, or whole images at once.
enum class Work { decoding, whole_images };

// The faster of f32 and bf16 for this work on this processor.
Precision fastest_precision(Work work);

// "f32", "bf16" or "int8".
std::string_view name(Precision precision);
std::optional<Precision> precision_named(std::string_view name);

}  // namespace combiner

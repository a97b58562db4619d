#include "model/precision.h"

#include "cpu/features.h"

namespace combiner {

std::string_view name(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
    default:
      return "f32";
  }
}

std::optional<Precision> precision_named(std::string_view name) {
  for (const Precision precision : kPrecisions)
    if (combiner::name(precision) == name) return precision;
  return std::nullopt;
}

// Decoding reads all weights for each position, and in bf16 they are half as many bytes. Whole
// images are a matter of products.
Precision fastest_precision(Work work) {
  return work == Work::decoding || multiplies_bf16_faster() ? Precision::bf16 : Precision::f32;
}

ElementType product_type(Precision precision) {
  return precision == Precision::f32 ? ElementType::f32 : ElementType::bf16;
}

KeptSummaries kept_summaries(Precision precision) {
  return precision == Precision::int8 ? KeptSummaries::in_8_bits : KeptSummaries::as_made;
}

Precision weight_precision(const ParameterLayout& layout, size_t offset, Precision precision) {
  return precision == Precision::int8 && !layout.at(offset).quantizable ? Precision::bf16
                                                                        : precision;
}

}  // namespace combiner

// The names of the attention variants (paper, section 4, and the sparse patterns they complete).
#pragma once

namespace combiner {

enum class Attention {
  axial_rowmajor,    // my row; rows above by the summary at my column: the official code's "axial"
  axial_vertical,    // my row, my column; every other column above, abstracted
  axial_horizontal,  // my row, my column; each row above to my left and to my right, abstracted
  axial_mixture,     // both of these
  fixed,             // my row; each earlier row, abstracted
  logsparse,         // myself; spans of powers of two, abstracted
  full,              // everything: ordinary causal attention
  // The direct keys alone: the paper's sparse baselines.
  axial,             // my row, my column
  fixed_sparse,      // my row; the last position of each earlier row
  logsparse_sparse,  // myself; the last position of each span
};

// Whether rows above are attended to by summaries, which have weights of their own.
inline bool has_summaries(Attention attention) { return attention == Attention::axial_rowmajor; }

inline constexpr Attention kAttentions[] = {Attention::axial_rowmajor,
                                            Attention::axial_vertical,
                                            Attention::axial_horizontal,
                                            Attention::axial_mixture,
                                            Attention::fixed,
                                            Attention::logsparse,
                                            Attention::full,
                                            Attention::axial,
                                            Attention::fixed_sparse,
                                            Attention::logsparse_sparse};

}  // namespace combiner

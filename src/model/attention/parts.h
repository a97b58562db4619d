// The parts that variants are made of. Each is one immutable object. T is float or bfloat16.
#pragma once

#include "model/attention/part.h"

namespace combiner {

// My row up to myself. The first part of its variants.
template <class T>
const Part<T>& row_part();

// The same before summary_part, which attends whole rows along with its own.
template <class T>
const Part<T>& summarised_row_part();

// My column above me.
template <class T>
const Part<T>& column_part();

// Every other column above my row, abstracted.
template <class T>
const Part<T>& vertical_part();

// Of each row above, what is to the left or to the right of my column, abstracted.
template <class T>
const Part<T>& left_part();
template <class T>
const Part<T>& right_part();

// Of each row above, a summary made by the position at my column.
template <class T>
const Part<T>& summary_part();

// Each row above, whole, abstracted.
template <class T>
const Part<T>& whole_row_part();

// The last position of each row above.
template <class T>
const Part<T>& row_end_part();

// Myself and, for each set bit l of my position i, the span of 2^l positions that ends before
// i - i mod 2^l: all earlier positions, once each. Abstracted, or the last position of each.
// The only part of its variants.
template <class T>
const Part<T>& span_part();
template <class T>
const Part<T>& span_end_part();

// All positions up to mine. The only part of its variant.
template <class T>
const Part<T>& full_part();

}  // namespace combiner

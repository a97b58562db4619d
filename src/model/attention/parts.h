// The parts that make up the variants. Each is one immutable object; T is float or bfloat16. The
// comments say what a query attends to.
#pragma once

#include "model/attention/part.h"

namespace combiner {

// The query's row, up to itself. The first part of its variants.
template <class T>
const Part<T>& row_part();

// The same, for use before summary_part, which computes the attention of whole rows with its own.
template <class T>
const Part<T>& summarised_row_part();

// The query's column, above it.
template <class T>
const Part<T>& column_part();

// Every other column above the query's row, abstracted.
template <class T>
const Part<T>& vertical_part();

// The part of each row above that is to the left, or to the right, of the query's column,
// abstracted.
template <class T>
const Part<T>& left_part();
template <class T>
const Part<T>& right_part();

// One summary of each row above, made by the position in the query's column.
template <class T>
const Part<T>& summary_part();

// Each row above, abstracted as a whole.
template <class T>
const Part<T>& whole_row_part();

// The last position of each row above.
template <class T>
const Part<T>& row_end_part();

// The query itself and, for each set bit l of its position i, the span of 2^l positions that ends
// before i - i mod 2^l. The spans cover every earlier position once. span_part abstracts each span;
// span_end_part takes its last position. The only part of its variants.
template <class T>
const Part<T>& span_part();
template <class T>
const Part<T>& span_end_part();

// All positions up to the query. The only part of its variant.
template <class T>
const Part<T>& full_part();

}  // namespace combiner

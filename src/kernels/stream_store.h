// Writing memory that is not to be read soon.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// to = from, past the caches if its rows are whole cache lines: what they hold there need not be
// fetched to be overwritten, and nothing else has to make room. T is float, bfloat16 or int8_t.
template <class T>
void stream_store(Matrix<const T> from, Matrix<T> to);

}  // namespace combiner

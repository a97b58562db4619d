// Writing memory that will not be read soon.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// to = from. If the rows of `to` are whole cache lines, the stores bypass the caches: the old
// contents are not fetched only to be overwritten, and no other data is evicted. T is float,
// bfloat16 or int8_t.
template <class T>
void stream_store(Matrix<const T> from, Matrix<T> to);

}  // namespace combiner

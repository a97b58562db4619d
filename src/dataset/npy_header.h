// What stands before the numbers of an array in NumPy's .npy format: dtype, order and shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

struct NpyHeader {
  std::string dtype;  // as NumPy writes it: "|u1" for bytes, "<i8" for 64-bit integers
  bool fortran_order = false;
  std::vector<int64_t> shape;  // none negative
  size_t bytes = 0;            // of the header itself, so where the numbers begin
};

// The longest header that parse_npy_header may be shown; NumPy's own are of 128 bytes or little
// more.
inline constexpr size_t kMostNpyHeaderBytes = 4096;

// Reads the header that an array's file of format version 1, 2 or 3 begins with, from the file's
// first kMostNpyHeaderBytes bytes or all that it has. Error, beginning with `where`, if they are
// anything else, or if the array's elements are records.
NpyHeader parse_npy_header(std::span<const uint8_t> bytes, std::string_view where);

inline constexpr size_t kWrittenNpyHeaderBytes = 128;

// A header of version 1, always of kWrittenNpyHeaderBytes so that it can be replaced when the shape
// is known. At most two dimensions, not in Fortran's order.
std::string make_npy_header(std::string_view dtype, std::span<const int64_t> shape);

}  // namespace combiner

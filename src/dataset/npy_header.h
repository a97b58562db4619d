// The header of an array in NumPy's .npy format: dtype, order and shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

struct NpyHeader {
  std::string dtype;  // NumPy's notation: "|u1" for bytes, "<i8" for 64-bit integers
  bool fortran_order = false;
  std::vector<int64_t> shape;  // no dimension is negative
  size_t bytes = 0;            // size of the header, hence the offset of the array's data
};

// The longest header that parse_npy_header has to handle. NumPy's own headers have 128 bytes or
// slightly more.
inline constexpr size_t kMostNpyHeaderBytes = 4096;

// Parses the header at the start of a .npy file of format version 1, 2 or 3. `bytes` are the file's
// first kMostNpyHeaderBytes bytes, or the whole file if it is shorter. Throws Error, with a message
// that starts with `where`, if they hold anything else or the array's elements are records.
NpyHeader parse_npy_header(std::span<const uint8_t> bytes, std::string_view where);

inline constexpr size_t kWrittenNpyHeaderBytes = 128;

// Makes a header of version 1 and C order for at most three dimensions and a dtype of three
// characters. It always has kWrittenNpyHeaderBytes bytes, so it can be overwritten once the shape
// is known.
std::string make_npy_header(std::string_view dtype, std::span<const int64_t> shape);

}  // namespace combiner

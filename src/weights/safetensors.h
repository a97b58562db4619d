// The safetensors file format: the header length in eight bytes (little-endian), a JSON header with
// each tensor's name, type, shape and offsets, then the tensors' bytes without gaps. Ours carry a
// checksum (weights/checksum.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "combiner/cancel.h"
#include "weights/checksum.h"
#include "weights/mapped_file.h"

namespace combiner {

enum class DType { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

// The size of one element in bytes.
int64_t byte_size(DType dtype);
// The type's name in files: "F32", "BF16", "BOOL".
std::string_view name(DType dtype);

// A tensor that does not own its bytes.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;       // outermost first; empty for a scalar
  std::span<const std::byte> data;  // row-major, little-endian, possibly unaligned: never cast it

  // The product of the dimensions.
  int64_t elements() const;
};

// A file opened for reading. Views stay valid for its lifetime or that of the object it was moved
// to.
class SafetensorsFile {
 public:
  // Reads the whole file if it carries a checksum, and else only the header. Throws Error if the
  // file can't be read, is malformed, of another kind or not what its checksum says. The message
  // says what is wrong and where. Throws Cancelled soon after it is asked to end.
  static SafetensorsFile open(const std::filesystem::path& path, const Cancel& cancel = {});

  const std::filesystem::path& path() const { return path_; }
  // The contents of `__metadata__` but for the checksum; empty if there is none.
  const Metadata& metadata() const { return metadata_; }
  // Sorted by their position in the file.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // Null if there is no tensor of this name.
  const TensorView* find(std::string_view name) const;

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {}

  std::filesystem::path path_;
  MappedFile file_;
  Metadata metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  // indices into tensors_
};

// Converts a tensor of F32, F16 or BF16 to float; the conversion is exact. `out` must have as many
// elements as the tensor. Throws Error, with the tensor's name, if the type or the size is wrong.
void to_floats(const TensorView& tensor, std::span<float> out);

// Writes the whole file or nothing (see OutputFile), with the tensors in the given order and a
// checksum among the metadata. Throws Error if the file can't be written or would be invalid: a
// duplicate name, text that is not UTF-8, or a shape that does not match its data.
void write_safetensors(const std::filesystem::path& path, Metadata metadata,
                       std::span<const TensorView> tensors);

}  // namespace combiner

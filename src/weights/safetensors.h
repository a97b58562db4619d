// The safetensors file format: eight bytes of header length (little-endian), a JSON header with
// each tensor's name, type, shape and place, then the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/mapped_file.h"

namespace combiner {

enum class DType { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

// Bytes of one element.
int64_t byte_size(DType dtype);
// As the files write it: "F32", "BF16", "BOOL".
std::string_view name(DType dtype);

// A tensor whose bytes belong to someone else.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;       // outermost first; empty for a scalar
  std::span<const std::byte> data;  // row-major, little-endian, at any address: not to be cast

  // Product of the shape.
  int64_t elements() const;
};

// A file opened for reading. Views stay valid as long as it, or the one it was moved to, lives.
class SafetensorsFile {
 public:
  // Throws Error if the file can't be read or is malformed in any way; says what and where.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  // What `__metadata__` holds; empty without one.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // In the order of their data in the file.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  // Null if there is none of this name.
  const TensorView* find(std::string_view name) const;

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {}

  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  // places in tensors_
};

// Converts F32, F16 or BF16, exactly; `out` must have one place for each element. Throws Error for
// another type or size, naming the tensor.
void to_floats(const TensorView& tensor, std::span<float> out);

// Writes the file whole or not at all (OutputFile), tensors in the order given. Throws Error if it
// can't be written, or would be no valid file: a name twice, text that is not UTF-8, a shape that
// is not its data's.
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, std::string>& metadata,
                       std::span<const TensorView> tensors);

}  // namespace combiner

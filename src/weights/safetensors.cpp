#include "weights/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "base/file_kind.h"
#include "base/json.h"
#include "base/output_file.h"
#include "combiner/error.h"
#include "tensor/bfloat16.h"
#include "weights/checksum.h"

namespace combiner {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used as they lie in files");

constexpr uint64_t kMaxHeaderSize = 100'000'000;
constexpr size_t kLengthSize = sizeof(uint64_t);
constexpr std::string_view kMetadataKey = "__metadata__";

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int64_t size;
};
constexpr DTypeInfo kDTypes[] = {
    {DType::f64, "F64", 8},      {DType::f32, "F32", 4}, {DType::f16, "F16", 2},
    {DType::bf16, "BF16", 2},    {DType::i64, "I64", 8}, {DType::i32, "I32", 4},
    {DType::i16, "I16", 2},      {DType::i8, "I8", 1},   {DType::u64, "U64", 8},
    {DType::u32, "U32", 4},      {DType::u16, "U16", 2}, {DType::u8, "U8", 1},
    {DType::boolean, "BOOL", 1},
};

const DTypeInfo& info(DType dtype) { return *std::ranges::find(kDTypes, dtype, &DTypeInfo::dtype); }

// The number of bytes of a tensor; nullopt if it overflows. Dimensions must not be negative.
std::optional<int64_t> data_size(const std::vector<int64_t>& shape, DType dtype) {
  int64_t size = byte_size(dtype);
  for (const int64_t dimension : shape) {
    if (dimension != 0 && size > std::numeric_limits<int64_t>::max() / dimension) {
      return std::nullopt;
    }
    size *= dimension;
  }
  return size;
}

// A tensor as the header describes it. Its data are bytes [begin, end), counted from the end of the
// header.
struct Entry {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  int64_t begin;
  int64_t end;
};

// Parses the JSON of one tensor.
class EntryReader {
 public:
  EntryReader(std::string_view source, const std::string& name, const Json& value)
      : place_(fmt::format("{}: tensor {}", source, shown(name))), name_(name), value_(value) {}

  Entry read() const {
    if (!value_.is_object()) fail("is {}; expected an object", shown(value_));
    constexpr std::string_view kKeys[] = {"dtype", "shape", "data_offsets"};
    for (const auto& [key, unused] : value_.items()) {
      if (std::ranges::find(kKeys, key) == std::end(kKeys)) {
        fail("has an unknown key {}; the known keys are {}", shown(key), fmt::join(kKeys, ", "));
      }
    }
    for (const std::string_view key : kKeys) {
      if (!value_.contains(key)) fail("has no \"{}\"", key);
    }

    Entry entry{name_, read_dtype(), whole_numbers("shape"), 0, 0};
    const std::vector<int64_t> offsets = whole_numbers("data_offsets");
    if (offsets.size() != 2) {
      fail("has {} numbers in \"data_offsets\"; expected 2: begin and end", offsets.size());
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    if (entry.begin > entry.end) {
      fail("has data_offsets that end before they begin: {} to {}", entry.begin, entry.end);
    }
    const std::optional<int64_t> size = data_size(entry.shape, entry.dtype);
    if (!size) fail("has a shape that overflows: [{}]", fmt::join(entry.shape, ", "));
    if (entry.end - entry.begin != *size) {
      fail("has {} bytes of data; expected {} for {} of shape [{}]", entry.end - entry.begin, *size,
           combiner::name(entry.dtype), fmt::join(entry.shape, ", "));
    }
    return entry;
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> what, Args&&... args) const {
    throw Error(place_ + " " + fmt::format(what, std::forward<Args>(args)...));
  }

  DType read_dtype() const {
    const Json& dtype = value_["dtype"];
    if (dtype.is_string()) {
      const auto found =
          std::ranges::find(kDTypes, dtype.get_ref<const std::string&>(), &DTypeInfo::name);
      if (found != std::end(kDTypes)) return found->dtype;
    }
    std::vector<std::string_view> names;
    for (const DTypeInfo& known : kDTypes) names.push_back(known.name);
    fail("has an unknown dtype {}; the known dtypes are {}", shown(dtype), fmt::join(names, ", "));
  }

  std::vector<int64_t> whole_numbers(std::string_view key) const {
    const Json& list = value_[key];
    if (!list.is_array()) {
      fail("has a \"{}\" that is not a list of whole numbers: {}", key, shown(list));
    }
    std::vector<int64_t> numbers;
    for (const Json& number : list) {
      // The JSON library parses whole numbers from 0 to 2^64 - 1 as unsigned, negative ones as
      // signed and everything else as floating point.
      if (!number.is_number_unsigned() || std::cmp_greater(number.get<uint64_t>(), kMaxNumber)) {
        fail("has a bad number in \"{}\": {}; expected a whole number from 0 to {}", key,
             shown(number), kMaxNumber);
      }
      numbers.push_back(number.get<int64_t>());
    }
    return numbers;
  }

  static constexpr int64_t kMaxNumber = std::numeric_limits<int64_t>::max();

  std::string place_;
  const std::string& name_;
  const Json& value_;
};

Metadata read_metadata(const Json& value, std::string_view source) {
  if (!value.is_object()) {
    throw Error(
        fmt::format("{}: \"{}\" is {}; expected an object", source, kMetadataKey, shown(value)));
  }
  Metadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      throw Error(
          fmt::format("{}: metadata {} is {}; expected a string", source, shown(key), shown(text)));
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// Files of other kinds begin with anything but a possible length and a brace.
void refuse_other_kinds(std::span<const std::byte> file, std::string_view source) {
  if (file.size() > kLengthSize && file[kLengthSize] == std::byte{'{'}) {
    uint64_t length;
    std::memcpy(&length, file.data(), kLengthSize);
    if (length <= kMaxHeaderSize) return;
  }
  const std::string kind = file_kind(file);
  if (!kind.empty())
    throw Error(fmt::format("{}: is not a safetensors file; it is {}", source, kind));
}

// The text of the JSON header.
std::string_view find_header(std::span<const std::byte> file, std::string_view source) {
  if (file.size() < kLengthSize) {
    throw Error(
        fmt::format("{}: is not a safetensors file: {} bytes long, too short for the {} bytes "
                    "of the header's length",
                    source, file.size(), kLengthSize));
  }
  uint64_t length;
  std::memcpy(&length, file.data(), kLengthSize);
  if (length > kMaxHeaderSize) {
    throw Error(
        fmt::format("{}: is not a safetensors file: a header length of {} bytes, more than "
                    "the {} allowed",
                    source, length, kMaxHeaderSize));
  }
  const std::span<const std::byte> rest = file.subspan(kLengthSize);
  if (length > rest.size()) {
    throw Error(
        fmt::format("{}: the header's {} bytes pass the end of the file, which has {} left; "
                    "is the file cut short?",
                    source, length, rest.size()));
  }
  return {reinterpret_cast<const char*>(rest.data()), static_cast<size_t>(length)};
}

// Checks that the entries, sorted by their data offsets, fill the `size` bytes after the header
// exactly.
void check_layout(const std::vector<Entry>& entries, size_t size, std::string_view source) {
  int64_t filled = 0;
  for (const Entry& entry : entries) {
    const auto fail = [&](std::string_view problem) {
      throw Error(fmt::format("{}: tensor {} at data_offsets {} to {} {}", source,
                              shown(entry.name), entry.begin, entry.end, problem));
    };
    if (std::cmp_greater(entry.end, size)) {
      fail(fmt::format("passes the end of the data, which has {} bytes; is the file cut short?",
                       size));
    }
    if (entry.begin < filled) {
      fail(fmt::format("overlaps the tensor before it, which ends at {}", filled));
    }
    if (entry.begin > filled) {
      fail(fmt::format("leaves a hole after the data before it, which ends at {}", filled));
    }
    filled = entry.end;
  }
  if (std::cmp_less(filled, size)) {
    throw Error(fmt::format("{}: {} trailing bytes after the data of the last tensor", source,
                            size - static_cast<size_t>(filled)));
  }
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: multiples of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

// Converts elements of type T at any alignment.
template <class T, class Convert>
void convert(std::span<const std::byte> data, std::span<float> out, Convert to_float) {
  const std::byte* source = data.data();
  for (float& value : out) {
    T element;
    std::memcpy(&element, source, sizeof(T));
    value = to_float(element);
    source += sizeof(T);
  }
}

}  // namespace

int64_t byte_size(DType dtype) { return info(dtype).size; }

std::string_view name(DType dtype) { return info(dtype).name; }

int64_t TensorView::elements() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies());
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path, const Cancel& cancel) {
  SafetensorsFile result(path);
  const std::span<const std::byte> bytes = result.file_.bytes();
  const std::string source = path.string();
  refuse_other_kinds(bytes, source);
  const std::string_view text = find_header(bytes, source);
  // The format requires the brace, so neither a byte order mark nor a space may precede it.
  if (!text.starts_with('{')) {
    throw Error(
        fmt::format("{}: the header is not a JSON object: it does not begin with '{{'", source));
  }
  const Json header = parse_json(text, fmt::format("{}: the header", source));

  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items()) {
    if (key == kMetadataKey) {
      result.metadata_ = read_metadata(value, source);
    } else {
      entries.push_back(EntryReader(source, key, value).read());
    }
  }
  std::ranges::sort(entries, {}, [](const Entry& e) { return std::tie(e.begin, e.end, e.name); });
  const size_t header_end = kLengthSize + text.size();
  const std::span<const std::byte> data = bytes.subspan(header_end);
  check_layout(entries, data.size(), source);
  check_checksum(bytes, header_end, result.metadata_, source, cancel);

  for (Entry& entry : entries) {
    result.index_.emplace(entry.name, result.tensors_.size());
    result.tensors_.push_back({std::move(entry.name), entry.dtype, std::move(entry.shape),
                               data.subspan(static_cast<size_t>(entry.begin),
                                            static_cast<size_t>(entry.end - entry.begin))});
  }
  return result;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void to_floats(const TensorView& tensor, std::span<float> out) {
  if (std::cmp_not_equal(out.size(), tensor.elements())) {
    throw Error(fmt::format("tensor {} has {} elements; expected {}", shown(tensor.name),
                            tensor.elements(), out.size()));
  }
  switch (tensor.dtype) {
    case DType::f32:
      return convert<float>(tensor.data, out, [](float value) { return value; });
    case DType::f16:
      return convert<uint16_t>(tensor.data, out, half_to_float);
    case DType::bf16:
      return convert<bfloat16>(tensor.data, out, [](bfloat16 value) { return to_float(value); });
    default:
      throw Error(fmt::format("tensor {} is of dtype {}; expected F32, F16 or BF16",
                              shown(tensor.name), name(tensor.dtype)));
  }
}

void write_safetensors(const std::filesystem::path& path, Metadata metadata,
                       std::span<const TensorView> tensors) {
  add_checksum(metadata);
  Json header = {{kMetadataKey, metadata}};
  size_t offset = 0;
  for (const TensorView& tensor : tensors) {
    const auto fail = [&](std::string_view problem) {
      throw Error(
          fmt::format("{}: can't write tensor {}: {}", path.string(), shown(tensor.name), problem));
    };
    if (tensor.name == kMetadataKey) fail("the name is reserved");
    if (header.contains(tensor.name)) fail("another tensor has the same name");
    if (std::ranges::any_of(tensor.shape, [](int64_t dimension) { return dimension < 0; }) ||
        !std::cmp_equal(data_size(tensor.shape, tensor.dtype).value_or(-1), tensor.data.size())) {
      fail(fmt::format("{} bytes of data don't fit {} of shape [{}]", tensor.data.size(),
                       name(tensor.dtype), fmt::join(tensor.shape, ", ")));
    }
    header[tensor.name] = {{"dtype", name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const Json::type_error&) {
    throw Error(
        fmt::format("{}: can't write metadata or tensor names that are not UTF-8", path.string()));
  }
  // Pad with spaces, so that the data begins at a multiple of 8 bytes.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderSize) {
    throw Error(fmt::format("{}: can't write a header of {} bytes, more than the {} allowed",
                            path.string(), text.size(), kMaxHeaderSize));
  }
  const uint64_t length = text.size();

  std::vector parts = {std::as_bytes(std::span(&length, 1)), std::as_bytes(std::span(text))};
  for (const TensorView& tensor : tensors) parts.push_back(tensor.data);
  fill_in_checksum(text, parts);

  OutputFile file(path);
  for (const std::span<const std::byte> part : parts) file.write(part);
  file.commit();
}

}  // namespace combiner

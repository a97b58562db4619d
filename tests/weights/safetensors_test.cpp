#include "weights/safetensors.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "catch.h"
#include "combiner/error.h"
#include "dataset/zip_files.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

std::string length_bytes(uint64_t length) {
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

// The bytes of a file with this header and `data_size` bytes of data.
std::string file_text(const std::string& header, size_t data_size) {
  return length_bytes(header.size()) + header + std::string(data_size, 'd');
}

// The message of the Error that opening such a file throws.
std::string open_error(const std::string& text) {
  const TempFolder folder;
  const std::filesystem::path path = write_text(folder / "bad.safetensors", text);
  const std::string message = error_of([&] { SafetensorsFile::open(path); });
  CHECK_THAT(message, contains("bad.safetensors: "));
  return message;
}
std::string open_error(const std::string& header, size_t data_size) {
  INFO(header.substr(0, 200));
  return open_error(file_text(header, data_size));
}

// The values must outlive the view.
template <class T>
TensorView view(const std::string& name, DType dtype, std::vector<int64_t> shape,
                const std::vector<T>& values) {
  return {name, dtype, std::move(shape), std::as_bytes(std::span(values))};
}

// A small valid file: metadata and three tensors, one of them empty.
std::string small_file() {
  const TempFolder folder;
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<float> empty;
  const std::vector<uint8_t> bias = {7, 8, 9};
  const std::vector<TensorView> tensors = {view("weight", DType::f32, {2, 3}, weight),
                                           view("empty", DType::f32, {0, 3}, empty),
                                           view("bias", DType::u8, {3}, bias)};
  write_safetensors(folder / "small", {{"config", "{}"}}, tensors);
  return read_text(folder / "small");
}

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.elements()));
  to_floats(tensor, out);
  return out;
}

}  // namespace

TEST_CASE("safetensors: a written file reads back") {
  const TempFolder folder;
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> scalar = {-1};
  const std::vector<uint8_t> odd = {1, 2, 3};
  const std::map<std::string, std::string> metadata = {{"config", "{\"a\": \"\\u00e9\"}"},
                                                       {"no\ttes", "caf\xc3\xa9"}};
  const std::vector<TensorView> tensors = {view("odd", DType::u8, {3}, odd),
                                           view("z.weight", DType::f32, {2, 3}, weight),
                                           view("a.scalar", DType::i64, {}, scalar)};
  write_safetensors(folder / "m.safetensors", metadata, tensors);

  const SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  CHECK(file.path() == folder / "m.safetensors");
  CHECK(file.metadata() == metadata);
  REQUIRE(file.tensors().size() == 3);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& read = file.tensors()[i];
    CHECK(read.name == tensors[i].name);
    CHECK(read.dtype == tensors[i].dtype);
    CHECK(read.shape == tensors[i].shape);
    CHECK(std::ranges::equal(read.data, tensors[i].data));
    CHECK(file.find(read.name) == &read);
  }
  CHECK(file.find("weight") == nullptr);
  CHECK(file.find("a.scalar")->elements() == 1);
  // Three bytes precede its data, so it is not aligned for floats.
  CHECK(floats(*file.find("z.weight")) == weight);
}

TEST_CASE("safetensors: an opened file can be moved") {
  const TempFolder folder;
  SafetensorsFile first = SafetensorsFile::open(write_text(folder / "small", small_file()));
  const SafetensorsFile second = std::move(first);
  CHECK(floats(*second.find("weight")) == std::vector<float>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("safetensors: a file may have no tensors and a header padded with spaces") {
  const TempFolder folder;
  const auto file = SafetensorsFile::open(write_text(folder / "none", file_text("{}      ", 0)));
  CHECK(file.tensors().empty());
  CHECK(file.metadata().empty());
}

TEST_CASE("safetensors: tensors are listed in the order of their data") {
  const TempFolder folder;
  const auto file = SafetensorsFile::open(
      write_text(folder / "m", file_text(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},
                                  "b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                                         3)));
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "b");
  CHECK(file.tensors()[1].name == "a");
}

TEST_CASE("safetensors: every dtype has the name and size of the format") {
  const struct {
    DType dtype;
    const char* name;
    int64_t size;
  } dtypes[] = {{DType::f64, "F64", 8},     {DType::f32, "F32", 4}, {DType::f16, "F16", 2},
                {DType::bf16, "BF16", 2},   {DType::i64, "I64", 8}, {DType::i32, "I32", 4},
                {DType::i16, "I16", 2},     {DType::i8, "I8", 1},   {DType::u64, "U64", 8},
                {DType::u32, "U32", 4},     {DType::u16, "U16", 2}, {DType::u8, "U8", 1},
                {DType::boolean, "BOOL", 1}};
  const TempFolder folder;
  for (const auto& [dtype, text, size] : dtypes) {
    CHECK(name(dtype) == text);
    CHECK(byte_size(dtype) == size);
    const std::vector<uint8_t> bytes(static_cast<size_t>(2 * size), 1);
    const TensorView tensor = view("t", dtype, {2}, bytes);
    write_safetensors(folder / "m", {}, std::span(&tensor, 1));
    CHECK(SafetensorsFile::open(folder / "m").find("t")->dtype == dtype);
  }
}

TEST_CASE("safetensors: F32 and BF16 convert to floats") {
  CHECK(floats(view("t", DType::f32, {3}, std::vector<float>{0.1f, -2, 1e-40f})) ==
        std::vector<float>{0.1f, -2, 1e-40f});
  CHECK(
      floats(view("t", DType::bf16, {4}, std::vector<uint16_t>{0x3f80, 0xc000, 0x0001, 0x7f80})) ==
      std::vector<float>{1, -2, 0x1p-133f, std::numeric_limits<float>::infinity()});
}

TEST_CASE("safetensors: every F16 value converts to the right float") {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const std::vector<float> read = floats(view("t", DType::f16, {65536}, halves));
  size_t wrong = 0;
  for (size_t i = 0; i < halves.size(); ++i) {
    const int exponent = (i >> 10) & 31;
    const int fraction = i & 1023;
    if (std::signbit(read[i]) != (i >= 0x8000)) ++wrong;
    const float magnitude = std::abs(read[i]);
    if (exponent == 31) {
      if (fraction == 0 ? !std::isinf(magnitude) : !std::isnan(magnitude)) ++wrong;
    } else {
      const double expected =
          exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
      if (magnitude != expected) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("safetensors: other dtypes and sizes don't convert to floats") {
  const std::vector<double> values = {1, 2};
  std::vector<float> out(2);
  CHECK_THROWS_WITH(to_floats(view("layer.weight", DType::f64, {2}, values), out),
                    contains("\"layer.weight\" is of dtype F64; expected F32, F16 or BF16"));
  CHECK_THROWS_WITH(to_floats(view("t", DType::f32, {1}, std::vector<float>{1}), out),
                    contains("\"t\" has 1 elements; expected 2"));
}

TEST_CASE("safetensors: paths that aren't files are refused") {
  const TempFolder folder;
  CHECK_THROWS_WITH(SafetensorsFile::open(folder / "missing"),
                    contains("missing: can't open the file: No such file"));
  CHECK_THROWS_WITH(SafetensorsFile::open(folder.path()), contains("is a folder"));
  CHECK_THROWS_WITH(SafetensorsFile::open("/dev/null"), contains("not a regular file"));
}

TEST_CASE("safetensors: bad header lengths are refused") {
  CHECK_THAT(open_error("\1\2\3\4\5\6\7"), contains("7 bytes long, too short"));
  CHECK_THAT(open_error(length_bytes(100'000'001) + "{}"), contains("more than the 100000000"));
  CHECK_THAT(open_error(length_bytes(~uint64_t{0}) + "{}"), contains("more than the 100000000"));
  CHECK_THAT(open_error(length_bytes(3) + "{}"), contains("pass the end of the file"));
}

TEST_CASE("safetensors: headers that are not JSON are refused") {
  CHECK_THAT(open_error("", 0), contains("does not begin with '{'"));
  CHECK_THAT(open_error("[]", 0), contains("does not begin with '{'"));
  CHECK_THAT(open_error(" {}", 0), contains("does not begin with '{'"));
  CHECK_THAT(open_error("{\"a\": tru}", 0),
             contains("not valid JSON: parse error at line 1, colu"));
  CHECK_THAT(open_error("{} {}", 0), contains("not valid JSON"));
  CHECK_THAT(open_error("{\"a\xff\": 1}", 0), contains("ill-formed UTF-8"));
  CHECK_THAT(open_error(std::string("{}\0\0", 4), 0), contains("zero byte at byte 2"));
  CHECK_THAT(open_error("{\"a\": 1e999}", 0), contains("number overflow"));
}

TEST_CASE("safetensors: deep nesting is refused") {
  std::string arrays = "{\"a\":";
  arrays.append(5'000'000, '[');
  CHECK_THAT(open_error(arrays, 0), contains("nested deeper than 16"));
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  CHECK_THAT(open_error(objects, 0), contains("nested deeper than 16"));
}

TEST_CASE("safetensors: duplicate keys are refused") {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  CHECK_THAT(open_error("{\"a\":" + entry + ",\"b\":" + entry + ",\"a\":" + entry + "}", 0),
             contains("duplicate key \"a\""));
  CHECK_THAT(open_error("{\"a\":" + entry + ",\"\\u0061\":" + entry + "}", 0),
             contains("duplicate key \"a\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[0],"shape":[0],"data_offsets":[0,0]}})", 0),
             contains("duplicate key \"shape\" in \"a\""));
  CHECK_THAT(open_error(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
             contains("duplicate key \"k\" in \"__metadata__\""));
  CHECK_THAT(open_error(R"({"__metadata__":{},"__metadata__":{}})", 0),
             contains("duplicate key \"__metadata__\""));
}

TEST_CASE("safetensors: wrong JSON types are refused") {
  CHECK_THAT(open_error(R"({"__metadata__":[]})", 0),
             contains("\"__metadata__\" is []; expected an object"));
  CHECK_THAT(open_error(R"({"__metadata__":{"k":1}})", 0),
             contains("metadata \"k\" is 1; expected a string"));
  CHECK_THAT(open_error(R"({"a":[1]})", 0), contains("tensor \"a\" is [1]; expected an object"));
  CHECK_THAT(open_error(R"({"a":{"dtype":1,"shape":[],"data_offsets":[0,0]}})", 0),
             contains("tensor \"a\" has an unknown dtype 1; the known dtypes are F64, F32"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,0]}})", 0),
             contains("\"shape\" that is not a list of whole numbers: 1"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,0]}})", 0),
             contains("bad number in \"shape\": \"1\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[],"data_offsets":{}}})", 0),
             contains("\"data_offsets\" that is not a list"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1,2]}})", 0),
             contains("has 3 numbers in \"data_offsets\"; expected 2"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[null,1]}})", 0),
             contains("bad number in \"data_offsets\": null"));
}

TEST_CASE("safetensors: unknown and missing keys and dtypes are refused") {
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}})", 1),
             contains("tensor \"a\" has an unknown key \"x\"; the known keys are dtype"));
  CHECK_THAT(open_error(R"({"a":{"shape":[],"data_offsets":[0,1]}})", 1),
             contains("tensor \"a\" has no \"dtype\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1),
             contains("tensor \"a\" has no \"shape\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[]}})", 1),
             contains("tensor \"a\" has no \"data_offsets\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}})", 1),
             contains("unknown dtype \"F8\""));
  CHECK_THAT(open_error(R"({"a":{"dtype":"u8","shape":[],"data_offsets":[0,1]}})", 1),
             contains("unknown dtype \"u8\""));
}

TEST_CASE("safetensors: negative, fractional and overflowing numbers are refused") {
  for (const std::string number : {"-1", "1.5", "1.0", "1e2", "9223372036854775808",
                                   "18446744073709551616", "99999999999999999999999999"}) {
    CHECK_THAT(
        open_error("{\"a\":{\"dtype\":\"U8\",\"shape\":[" + number + "],\"data_offsets\":[0,1]}}",
                   1),
        contains("tensor \"a\" has a bad number in \"shape\""));
    CHECK_THAT(
        open_error("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0," + number + "]}}",
                   1),
        contains("tensor \"a\" has a bad number in \"data_offsets\""));
  }
  CHECK_THAT(
      open_error(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
      contains("shape that overflows: [4294967296, 4294967296]"));
  CHECK_THAT(
      open_error(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0),
      contains("shape that overflows"));
}

TEST_CASE("safetensors: data that doesn't match its shape or offsets is refused") {
  CHECK_THAT(open_error(R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,23]}})", 23),
             contains("has 23 bytes of data; expected 24 for F32 of shape [2, 3]"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
             contains("end before they begin: 1 to 0"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                            "b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                        3),
             contains("tensor \"b\" at data_offsets 1 to 3 overlaps"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                            "b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                        2),
             contains("overlaps"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                            "b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
                        5),
             contains("tensor \"b\" at data_offsets 3 to 5 leaves a hole"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3),
             contains("leaves a hole"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 2),
             contains("passes the end of the data, which has 2 bytes"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[9223372036854775807],)"
                        R"("data_offsets":[0,9223372036854775807]}})",
                        2),
             contains("passes the end of the data"));
  CHECK_THAT(open_error(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 5),
             contains("2 trailing bytes"));
  CHECK_THAT(open_error("{}", 1), contains("1 trailing bytes"));
}

TEST_CASE("safetensors: a truncated file is refused") {
  const TempFolder folder;
  const std::string whole = small_file();
  REQUIRE(whole.size() > 100);
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO(size << " of " << whole.size() << " bytes");
    write_text(folder / "cut", whole.substr(0, size));
    CHECK_THROWS_AS(SafetensorsFile::open(folder / "cut"), Error);
  }
  write_text(folder / "cut", whole);
  CHECK_NOTHROW(SafetensorsFile::open(folder / "cut"));
}

// A file without its checksum, as other programs write it.
std::string without_checksum(std::string text) {
  const std::string key = "\"combiner_checksum\":\"crc32:";
  const size_t place = text.find(key);
  REQUIRE(place != text.npos);
  return text.replace(place, key.size() + 9,
                      "\"someone_elses\":\"note" + std::string(14, ' ') + '"');
}

TEST_CASE("safetensors: a file that another program wrote, without a checksum, is read") {
  const TempFolder folder;
  const std::string whole = without_checksum(small_file());
  std::string changed = whole;
  changed.back() = '?';
  for (const std::string& text : {whole, changed}) {
    const auto file = SafetensorsFile::open(write_text(folder / "other", text));
    CHECK(file.metadata().contains("someone_elses"));
  }
}

TEST_CASE("safetensors: the checksum is the CRC-32 of the file with zeros in its place") {
  std::string whole = small_file();
  const size_t digits = whole.find("crc32:") + 6;
  const std::string stated = whole.substr(digits, 8);
  whole.replace(digits, 8, "00000000");
  CHECK(fmt::format("{:08x}", crc32_of(whole)) == stated);
}

TEST_CASE("safetensors: with a checksum, a file with any byte changed is refused") {
  const std::string whole = small_file();
  const TempFolder folder;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {0x01, 0x02, 0x04, 0x10, 0x20, 0x80, 0xff}) {
      std::string text = whole;
      text[i] = static_cast<char>(text[i] ^ change);
      write_text(folder / "changed", text);
      const std::string message = error_of([&] { SafetensorsFile::open(folder / "changed"); });
      if (message.find("changed: ") == message.npos)
        FAIL("byte " << i << " changed by " << change << ": " << message);
    }
  }
  std::string text = whole;
  text.back() = '?';
  CHECK_THAT(open_error(text), contains("the file is damaged: its checksum is "));
}

TEST_CASE("safetensors: what is copied from a file to another gets a checksum of its own") {
  const TempFolder folder;
  const auto file = SafetensorsFile::open(write_text(folder / "a", small_file()));
  write_safetensors(folder / "b", file.metadata(), std::span(file.tensors()).first(1));
  CHECK(SafetensorsFile::open(folder / "b").metadata() == file.metadata());
}

TEST_CASE("safetensors: what is not a safetensors file is named") {
  const auto is = [](const std::string& text, const std::string& kind) {
    CHECK_THAT(open_error(text), contains("is not a safetensors file; it is " + kind));
  };
  is("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3649864\n",
     "a Git LFS pointer, not the file: run git lfs pull");
  is("", "empty");
  is(R"({"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001-of-00002.safetensors"}})",
     "the index of weights that lie in several files");
}

TEST_CASE(
    "safetensors: without a checksum, a file with any header byte changed is refused or read") {
  const TempFolder folder;
  const std::string whole = without_checksum(small_file());
  const size_t header_end = whole.size() - 27;  // the data's bytes
  for (size_t i = 0; i < header_end; ++i) {
    for (const int change : {0x01, 0x02, 0x10, 0x20, 0x80, 0xff}) {
      std::string text = whole;
      text[i] = static_cast<char>(text[i] ^ change);
      write_text(folder / "changed", text);
      INFO("byte " << i << " changed by " << change);
      try {
        const SafetensorsFile file = SafetensorsFile::open(folder / "changed");
        int64_t sum = 0;  // reads every byte that the views reach
        for (const TensorView& tensor : file.tensors()) {
          for (const std::byte byte : tensor.data) sum += std::to_integer<int64_t>(byte);
        }
        CHECK(sum > 0);
      } catch (const Error& error) {
        CHECK_THAT(error.what(), contains("changed: "));
      }
    }
  }
}

TEST_CASE("safetensors: an invalid file is not written") {
  const TempFolder folder;
  const std::vector<float> values = {1, 2};
  const TensorView good = view("a", DType::f32, {2}, values);
  const auto write = [&](const std::map<std::string, std::string>& metadata,
                         const std::vector<TensorView>& tensors) {
    write_safetensors(folder / "m", metadata, tensors);
  };
  CHECK_THROWS_WITH(write({}, {good, good}), contains("tensor \"a\": another tensor"));
  CHECK_THROWS_WITH(write({}, {view("__metadata__", DType::f32, {2}, values)}),
                    contains("reserved"));
  CHECK_THROWS_WITH(write({}, {view("a", DType::f32, {3}, values)}),
                    contains("8 bytes of data don't fit F32 of shape [3]"));
  CHECK_THROWS_WITH(write({}, {view("a", DType::f32, {-1, -2}, values)}), contains("don't fit"));
  CHECK_THROWS_WITH(write({}, {view("a\xff", DType::f32, {2}, values)}), contains("UTF-8"));
  CHECK_THROWS_WITH(write({{"k", "\xff"}}, {good}), contains("UTF-8"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("safetensors: a failing write is an Error and leaves the old file") {
  const TempFolder folder;
  const std::vector<float> values = {1, 2};
  const TensorView tensor = view("a", DType::f32, {2}, values);
  const std::span tensors(&tensor, 1);
  CHECK_THROWS_WITH(write_safetensors(folder / "none" / "m", {}, tensors),
                    contains("m: can't create the file: No such file"));
  CHECK_THROWS_WITH(write_safetensors(folder.path(), {}, tensors), contains("is a folder"));
  CHECK_THROWS_WITH(write_safetensors("/dev/full", {}, tensors),
                    contains("/dev/full: can't write the file: No space left"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

}  // namespace combiner

#include "dataset/npy_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <optional>
#include <system_error>

#include "combiner/error.h"

namespace combiner {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// Parses the header's text, a Python dictionary such as
//   {'descr': '|u1', 'fortran_order': False, 'shape': (5, 192), }
// with exactly these three fields, in any order.
class DictionaryReader {
 public:
  DictionaryReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  NpyHeader read() {
    expect('{');
    while (!skip('}')) {
      read_field();
      if (skip('}')) break;
      expect(',');
    }
    if (peek() != '\0') fail("the end");
    if (!dtype_) fail_without("descr");
    if (!fortran_order_) fail_without("fortran_order");
    if (!shape_) fail_without("shape");
    return {*dtype_, *fortran_order_, *shape_};
  }

 private:
  void read_field() {
    const std::string name = string();
    expect(':');
    if (name == "descr" && !dtype_) {
      if (peek() == '[')
        throw Error(
            fmt::format("{}: is an array of records; expected one of plain numbers", where_));
      dtype_ = string();
    } else if (name == "fortran_order" && !fortran_order_) {
      fortran_order_ = boolean();
    } else if (name == "shape" && !shape_) {
      shape_ = tuple();
    } else {
      throw Error(
          fmt::format("{}: its header has the field '{}' twice, or should not have it; expected "
                      "descr, fortran_order and shape",
                      where_, name));
    }
  }

  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string that ends");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    fail("True or False");
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> numbers;
    expect('(');
    while (!skip(')')) {
      numbers.push_back(number());
      if (skip(')')) break;
      expect(',');
    }
    return numbers;
  }

  int64_t number() {
    peek();
    int64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc() || value < 0) fail("a number from 0 to 2^63 - 1");
    at_ = static_cast<size_t>(stop - text_.data());
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // suffix of Python 2's long integers
    return value;
  }

  // Skips spaces and newlines. Returns the next character, or 0 at the end.
  char peek() {
    at_ = std::min(text_.find_first_not_of(" \n", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool skip(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!skip(wanted)) fail(fmt::format("'{}'", wanted));
  }

  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(fmt::format("{}: its header can't be understood: expected {} at character {}",
                            where_, expected, at_));
  }

  [[noreturn]] void fail_without(std::string_view field) const {
    throw Error(fmt::format("{}: its header lacks the field '{}'", where_, field));
  }

  std::string_view text_;
  std::string_view where_;
  size_t at_ = 0;
  std::optional<std::string> dtype_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<int64_t>> shape_;
};

}  // namespace

NpyHeader parse_npy_header(std::span<const uint8_t> bytes, std::string_view where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic))
    throw Error(fmt::format("{}: isn't a NumPy array: it doesn't begin with \\x93NUMPY", where));
  const size_t version_at = kMagic.size();
  const size_t length_at = version_at + 2;
  const auto byte = [&](size_t at) { return at < bytes.size() ? size_t{bytes[at]} : 0; };
  const size_t version = byte(version_at);
  if (version < 1 || version > 3)
    throw Error(
        fmt::format("{}: is of version {} of NumPy's format; expected 1 to 3", where, version));

  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t start = length_at + length_bytes;
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= byte(length_at + i) << (8 * i);
  if (start > bytes.size() || length > bytes.size() - start)
    throw Error(
        fmt::format("{}: has a header of {} bytes; expected at most {}; it is truncated or "
                    "damaged",
                    where, length, bytes.size() - std::min(start, bytes.size())));
  NpyHeader header = DictionaryReader(text.substr(start, length), where).read();
  header.bytes = start + length;
  return header;
}

std::string make_npy_header(std::string_view dtype, std::span<const int64_t> shape) {
  const std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", dtype,
                  fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t start = kMagic.size() + 4;
  assert(start + dictionary.size() < kWrittenNpyHeaderBytes);
  std::string header(kMagic);
  header += {'\x01', '\0', static_cast<char>(kWrittenNpyHeaderBytes - start), '\0'};
  header += dictionary;
  header.resize(kWrittenNpyHeaderBytes - 1, ' ');
  return header + '\n';
}

}  // namespace combiner

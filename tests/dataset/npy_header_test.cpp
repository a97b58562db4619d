#include "dataset/npy_header.h"

#include <vector>

#include "catch.h"
#include "dataset/zip_files.h"
#include "error_of.h"

namespace combiner {
namespace {

NpyHeader parse(const std::string& file) {
  return parse_npy_header({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "a.npy");
}

std::string error(const std::string& header) {
  return error_of([&] { parse(npy(header)); });
}

TEST_CASE("Headers of all versions of NumPy's format are parsed") {
  const std::string text = "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 192), }   \n";
  for (const int version : {1, 2, 3}) {
    INFO("version " << version);
    const NpyHeader header = parse(npy(text, "numbers", version));
    CHECK(header.dtype == "|u1");
    CHECK_FALSE(header.fortran_order);
    CHECK(header.shape == std::vector<int64_t>{5, 192});
    CHECK(header.bytes == npy(text, "", version).size());
  }
}

TEST_CASE("A header may have its fields in any order and use Python's other notations") {
  const NpyHeader header =
      parse(npy("{\"shape\":(128116L,12288L),'fortran_order' : True,\"descr\": '<f4'}"));
  CHECK(header.dtype == "<f4");
  CHECK(header.fortran_order);
  CHECK(header.shape == std::vector<int64_t>{128116, 12288});
  CHECK(parse(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }")).shape ==
        std::vector<int64_t>{7});
  CHECK(parse(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }")).shape.empty());
}

TEST_CASE("A malformed NumPy header is refused with a reason") {
  CHECK_THAT(error_of([] { parse(""); }), contains("a.npy: isn't a NumPy array"));
  CHECK_THAT(error_of([] { parse("\x89NUMPY\1"); }), contains("isn't a NumPy array"));
  CHECK_THAT(error_of([] { parse("\x93NUMPY"); }), contains("is of version 0 of NumPy's format"));
  CHECK_THAT(error_of([] { parse(npy("{}", "", 4)); }), contains("version 4 of NumPy's format"));
  CHECK_THAT(error_of([] { parse(npy("{}").substr(0, 9)); }),
             contains("has a header of 2 bytes; expected at most 0"));
  CHECK_THAT(error_of([] { parse(npy("{} ").substr(0, 12)); }),
             contains("has a header of 3 bytes; expected at most 2"));

  CHECK_THAT(error(""), contains("expected '{' at character 0"));
  CHECK_THAT(error("{'descr': '|u1'"), contains("expected ',' at character 15"));
  CHECK_THAT(error("{'descr' '|u1'}"), contains("expected ':' at character 9"));
  CHECK_THAT(error("{'descr': 5}"), contains("expected a string at character 10"));
  CHECK_THAT(error("{'descr': '|u1"), contains("expected a string that ends at character 10"));
  CHECK_THAT(error("{'descr': [('red', '|u1')]}"), contains("is an array of records"));
  CHECK_THAT(error("{'fortran_order': 0}"), contains("expected True or False at character 18"));
  CHECK_THAT(error("{'shape': 5}"), contains("expected '(' at character 10"));
  CHECK_THAT(error("{'shape': (5 6)}"), contains("expected ',' at character 13"));
  for (const char* number : {"-1", "x", "9223372036854775808"})
    CHECK_THAT(error(std::string("{'shape': (") + number + ",)}"),
               contains("expected a number from 0 to 2^63 - 1 at character 11"));
  CHECK_THAT(error("{'descr': '|u1', 'descr': '|u1'}"), contains("has the field 'descr' twice"));
  CHECK_THAT(error("{'colour': 'red'}"), contains("'colour' twice, or should not have it"));
  CHECK_THAT(error("{'fortran_order': False, 'shape': ()}"), contains("lacks the field 'descr'"));
  CHECK_THAT(error("{'descr': '|u1', 'shape': ()}"), contains("lacks the field 'fortran_order'"));
  CHECK_THAT(error("{'descr': '|u1', 'fortran_order': False}"),
             contains("lacks the field 'shape'"));
  CHECK_THAT(error("{'descr': '|u1', 'fortran_order': False, 'shape': ()} x"),
             contains("expected the end at character 54"));
}

TEST_CASE("A truncated header is refused") {
  const std::string whole = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (5, 192), }");
  CHECK(error_of([&] { parse(whole); }) == "no Error was thrown");
  for (size_t length = 0; length < whole.size(); ++length) {
    INFO("length " << length);
    CHECK_THAT(error_of([&] { parse(whole.substr(0, length)); }), contains("a.npy: "));
  }
  // The header's text is truncated, and its length field agrees.
  const std::string text = whole.substr(10);
  for (size_t length = 0; length < text.size(); ++length) {
    INFO("text of length " << length);
    CHECK_THAT(error(text.substr(0, length)), contains("a.npy: its header"));
  }
}

TEST_CASE("Written headers are read back and all have the same length") {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{7},
                                            {0, 0},
                                            {5, 192},
                                            {32, 32, 3},
                                            {INT64_MAX, INT64_MAX, INT64_MAX}}) {
    const std::string text = make_npy_header("|u1", shape);
    CHECK(text.size() == kWrittenNpyHeaderBytes);
    const NpyHeader header = parse(text + "numbers");
    CHECK(header.dtype == "|u1");
    CHECK_FALSE(header.fortran_order);
    CHECK(header.shape == shape);
    CHECK(header.bytes == kWrittenNpyHeaderBytes);
  }
}

}  // namespace
}  // namespace combiner

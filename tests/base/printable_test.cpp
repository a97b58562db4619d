#include "base/printable.h"

#include <string>

#include "catch.h"

namespace combiner {

TEST_CASE("printable: control characters are escaped, all others are as they were") {
  using namespace std::string_view_literals;
  CHECK(printable("").empty());
  CHECK(printable("a b~\\ \u00a0 \u00e9 \u2028 \U0001f600") ==
        "a b~\\ \u00a0 \u00e9 \u2028 \U0001f600");
  CHECK(printable("\x1b[2J\n\t"sv) == "\\x1b[2J\\x0a\\x09");
  CHECK(printable("\0\x1f\x7f"sv) == "\\x00\\x1f\\x7f");
  CHECK(printable("\u0080x\u009b1m\u009f") == "\\x80x\\x9b1m\\x9f");
  CHECK(printable("\xc2") == "\xc2");  // a character cut short
}

TEST_CASE("printable_lines: keeps lines, however many, and nothing else that moves a cursor") {
  const std::string lines(1 << 20, '\n');
  CHECK(printable_lines(lines) == lines);
  CHECK(is_printable(lines));
  CHECK(printable_lines("a\x1b[2J\nb\tc\xc2\x9b\n") == "a\\x1b[2J\nb\\x09c\\x9b\n");
  for (const char* text : {"\x1b", "a\r", "\x7f", "\xc2\x85"}) CHECK_FALSE(is_printable(text));
  CHECK(is_printable("\xc3\xa9\xc2\xa0, \xc2"));
}

TEST_CASE("typed: what is not one short word is quoted") {
  CHECK(typed("3x") == "3x");
  CHECK(typed("\u00e9") == "\u00e9");
  CHECK(typed("") == "\"\"");
  CHECK(typed("3 ") == "\"3 \"");
  CHECK(typed("a\n") == "\"a\\x0a\"");
  CHECK(typed(std::string(300, '9')) == '"' + std::string(60, '9') + "...\"");
}

}  // namespace combiner

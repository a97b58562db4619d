// Text from files and from the command line, made safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace combiner {

// The text with control characters, which could move a terminal's cursor or worse, as \x1b: those
// below U+0020, also line feeds, and U+007F to U+009F in UTF-8.
std::string printable(std::string_view text);

// The same for text of several lines, which it leaves as lines. Without anything to replace, that
// is the text itself: then is_printable() says so, and needs no memory.
std::string printable_lines(std::string_view text);
bool is_printable(std::string_view lines);

// What the user typed, for a message: as it is if that is one visible word, else in quotes. A long
// text is cut short.
std::string typed(std::string_view text);

}  // namespace combiner

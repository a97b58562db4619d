// What standard error can show.
#pragma once

#include <string>

namespace combiner {

// Whether standard error is a terminal that can move its cursor.
bool on_terminal();

// In characters; 80 x 24 if the terminal does not say.
struct TerminalSize {
  int columns = 80;
  int lines = 24;
};
TerminalSize terminal_size();

// Why pictures can't be shown in colour, as the end of a sentence; empty if they can. The
// environment tells: TERM, COLORTERM and NO_COLOR.
std::string why_no_pictures();

}  // namespace combiner

#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace combiner {
namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool on_terminal() { return isatty(STDERR_FILENO) == 1 && environment("TERM") != "dumb"; }

TerminalSize terminal_size() {
  winsize size = {};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  TerminalSize result;
  if (known && size.ws_col > 0) result.columns = size.ws_col;
  if (known && size.ws_row > 0) result.lines = size.ws_row;
  return result;
}

std::string why_no_pictures() {
  if (!on_terminal()) return "standard error is not a terminal";
  if (!environment("NO_COLOR").empty()) return "NO_COLOR is set";
  const std::string depth = environment("COLORTERM");
  if (depth != "truecolor" && depth != "24bit" && !environment("TERM").ends_with("-direct"))
    return "the terminal does not say that it shows 16 million colours; if it does, set "
           "COLORTERM=truecolor";
  return {};
}

}  // namespace combiner

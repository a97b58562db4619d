// Explains a word of the command line that is neither an option nor a subcommand nor an argument.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace combiner {

// A complaint about the first word that `app`, which failed to parse a command line, did not
// expect; nullopt if there is none. It goes before CLI11's own, which may only follow from it.
std::optional<std::string> complaint_about_unknown_word(const CLI::App& app);

}  // namespace combiner

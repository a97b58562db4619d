// What is said of a wrong command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace combiner {

// A complaint about the command line that `app` failed to parse. `error` is CLI11's.
std::string complaint(const CLI::App& app, const CLI::ParseError& error);

// CLI11 would take the next word as the value of --name=. Throws CLI::ValidationError if one of the
// words, which are those of a command line, is of this form.
void check_words(int count, const char* const* words);

// What CLI11 accepts as values of options, but nobody means: nothing, as "$UNSET" is for a shell,
// and the name of another option, which comes instead of a value that was forgotten. Throws
// CLI::ValidationError if a value that `app` has parsed is one of these.
void check_values(const CLI::App& app);

}  // namespace combiner

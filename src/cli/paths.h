// Questions about the paths on the command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

// Whether the name ends in .png, in capitals or not.
bool ends_in_png(const std::string& path);

// Whether it is "-", or a name of standard output such as /dev/stdout.
bool is_standard_output(const std::string& output);

// For a command whose --output is standard output, and writes `what`, "a PNG file", there. Throws
// CLI::ValidationError if --json is given too, or if that is a terminal.
void check_standard_output(const char* what, bool json);

// Throws CLI::ValidationError if it is: `option` is for a file beside the results.
void check_no_standard_output(const char* option, const std::string& output);

// Makes the folder and those above it. Returns whether it was not there. Throws Error if it can't
// be made.
bool make_folder(const std::filesystem::path& folder);

// The names of a folder's entries. Throws Error if they can't be read.
std::vector<std::string> names_in(const std::filesystem::path& folder);

// Says how many .png files are in a folder besides a run's own, and names one, so that nobody takes
// them for the run's. Throws Error if the folder can't be read.
void say_others(const std::filesystem::path& folder,
                const std::function<bool(const std::string& name)>& is_own);

// The number, 0 or more, that a name begins with; nullopt if it begins with something else.
std::optional<int64_t> leading_number(std::string_view name);

// Throws Error, which ends in `hint`, if no file can have the name.
void check_length(const std::string& name, const std::string& hint);

// The last name of a path: cifar-10 for data/cifar-10, data/cifar-10/ and, there, for "."
std::string last_name(const std::filesystem::path& path);

// Throws CLI::ValidationError if `output`, the argument of `option`, is or lies in `input`, a file
// or a folder that the command reads. An empty output is none.
void check_no_input(const char* option, const std::string& output, const std::string& input);

}  // namespace combiner

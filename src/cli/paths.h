// Questions about the paths on the command line.
#pragma once

#include <filesystem>
#include <string>

namespace combiner {

// Whether `path`, which need not exist, is `folder` or lies in it, at any depth. Follows links.
// `folder` may also be a file; then only the file itself lies in it.
bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder);

// The last name of a path: cifar-10 for data/cifar-10, data/cifar-10/ and, there, for "."
std::string last_name(const std::filesystem::path& path);

// Throws CLI::ValidationError if `output`, the argument of `option`, is or lies in `input`, a file
// or a folder that the command reads. An empty output is none.
void check_no_input(const char* option, const std::string& output, const std::string& input);

}  // namespace combiner

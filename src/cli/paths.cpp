#include "cli/paths.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <system_error>

#include "base/lies_in.h"
#include "base/lower_case.h"
#include "base/output_file.h"
#include "base/plural.h"
#include "base/printable.h"
#include "cli/say.h"
#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

bool ends_in_png(const std::string& path) { return lower_case(path).ends_with(".png"); }

bool is_standard_output(const std::string& output) {
  return output == "-" || open_descriptor(follow_links(output)) == STDOUT_FILENO;
}

void check_standard_output(const char* what, bool json) {
  if (json) throw CLI::ValidationError("--json and --output - both write to standard output");
  if (isatty(STDOUT_FILENO) == 1)
    throw CLI::ValidationError(
        "--output",
        fmt::format("- writes {}, which is nothing for a terminal; redirect it to a file", what));
}

void check_no_standard_output(const char* option, const std::string& output) {
  if (is_standard_output(output))
    throw CLI::ValidationError(option,
                               output + " is standard output, where the results go; name a file");
}

bool make_folder(const fs::path& folder) {
  std::error_code error;
  const bool is_new = fs::create_directories(folder, error);
  if (error)
    throw Error(fmt::format("{}: can't make the folder: {}", folder.string(), error.message()));
  return is_new;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error)
    throw Error(fmt::format("{}: can't list the folder: {}", folder.string(), error.message()));
  return names;
}

void say_others(const fs::path& folder,
                const std::function<bool(const std::string& name)>& is_own) {
  std::vector<std::string> others;
  for (const std::string& name : names_in(folder))
    if (name.ends_with(".png") && !is_own(name)) others.push_back(name);
  if (others.empty()) return;
  say("{}: also holds {} not of this run: {}{}\n", printable(folder.string()),
      plural(std::ssize(others), "picture"), printable(*std::ranges::min_element(others)),
      others.size() > 1 ? ", ..." : "");
}

std::optional<int64_t> leading_number(std::string_view name) {
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (problem != std::errc() || number < 0) return std::nullopt;
  return number;
}

void check_length(const std::string& name, const std::string& hint) {
  const auto is_too_long = [](const std::filesystem::path& part) {
    return part.native().size() > kLongestFileName;
  };
  if (std::ranges::any_of(std::filesystem::path(name), is_too_long))
    throw Error(
        fmt::format("{} is too long for a file's name; expected at most {} bytes with .png; {}",
                    name, kLongestFileName, hint));
}

std::string last_name(const fs::path& path) {
  std::error_code ignored;  // without a current folder there is no better name
  const fs::path folder = (fs::absolute(path, ignored) / "").lexically_normal();
  return folder.parent_path().filename().string();
}

void check_no_input(const char* option, const std::string& output, const std::string& input) {
  if (output.empty() || !lies_in(output, input)) return;
  throw CLI::ValidationError(option,
                             fmt::format("{} is {}{}, which is read; write elsewhere", output,
                                         fs::is_directory(input) ? "in " : "", input));
}

}  // namespace combiner

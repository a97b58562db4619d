#include "cli/complaint.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "base/plural.h"
#include "base/printable.h"
#include "cli/unknown_word.h"

namespace combiner {
namespace {

// The program and the subcommand that was chosen.
std::vector<const CLI::App*> parsed_apps(const CLI::App& app) {
  std::vector<const CLI::App*> apps = {&app};
  for (const CLI::App* const chosen : app.get_subcommands()) apps.push_back(chosen);
  return apps;
}

// The option of this name; null if there is none.
const CLI::Option* find_option(const CLI::App& app, const std::string& name) {
  for (const CLI::App* const parsed : parsed_apps(app))
    for (const CLI::Option* const option : parsed->get_options())
      if (option->check_name(name)) return option;
  return nullptr;
}

// What the value is called: "FILE", or its choices. Empty for positional arguments.
std::string value_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(type.find(':') + 1);
}

// CLI11's messages for a wrong number of values begin with the option's name and a colon, or with
// that of a flag without its dashes.
std::string about_number_of_values(const CLI::App& app, const std::string& text) {
  const CLI::Option* const option = find_option(app, text.substr(0, text.find(':')));
  if (option == nullptr) return fmt::format("--{} takes no value", text.substr(0, text.find(' ')));
  const auto given = static_cast<int64_t>(option->count());
  const std::string name = option->get_name();
  if (given > 1) return fmt::format("{} is given {} times; expected once", name, given);
  return fmt::format("{} needs a value: {}", name, value_of(*option));
}

}  // namespace

std::string complaint(const CLI::App& app, const CLI::ParseError& error) {
  if (const auto unknown = complaint_about_unknown_word(app)) return *unknown;
  const std::string text = error.what();
  if (error.get_name() == "ArgumentMismatch") return about_number_of_values(app, text);
  constexpr std::string_view kExcludes = " excludes ";
  const size_t excludes = text.find(kExcludes);
  if (error.get_name() == "ExcludesError" && excludes != text.npos)
    return fmt::format("{} and {} can't both be given", text.substr(0, excludes),
                       text.substr(excludes + kExcludes.size()));
  return text;
}

void check_words(int count, const char* const* words) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--") return;
    if (word.starts_with("--") && word.find('=') == word.size() - 1)
      throw CLI::ValidationError(std::string(word.substr(0, word.size() - 1)),
                                 "there is nothing after its =");
  }
}

void check_values(const CLI::App& app) {
  for (const CLI::App* const parsed : parsed_apps(app))
    for (const CLI::Option* const option : parsed->get_options()) {
      if (option->get_items_expected_max() == 0) continue;
      for (const std::string& value : option->results()) {
        const std::string name = option->get_name();
        if (value.empty())
          throw CLI::ValidationError(
              name, fmt::format("{} is not {}", typed(value),
                                option->get_positional() ? "a file" : value_of(*option)));
        if (value.starts_with("--") && find_option(app, value) != nullptr)
          throw CLI::ValidationError(
              name, fmt::format("needs a value; {} is the name of an option", value));
      }
    }
}

}  // namespace combiner

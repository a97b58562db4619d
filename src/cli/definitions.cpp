#include "cli/definitions.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace combiner {
namespace {

std::vector<std::string> sorted_names(const std::set<CLI::Option*>& options) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : options) names.push_back(option->get_name());
  std::ranges::sort(names);
  return names;
}

// CLI11 describes an argument as for example FILE or TEXT:{train,test}.
void describe_argument(const std::string& type, OptionText& text) {
  const size_t colon = type.find(':');
  text.value = type.substr(0, colon);
  const std::string set = colon == std::string::npos ? "" : type.substr(colon + 1);
  if (set.starts_with('{') && set.ends_with('}'))
    text.choices = CLI::detail::split(set.substr(1, set.size() - 2), ',');
  constexpr std::array<std::string_view, 4> kPaths = {"FILE", "PATH", "DIR", "FOLDER"};
  text.path = text.choices.empty() && std::ranges::any_of(kPaths, [&](std::string_view path) {
                return text.value.find(path) != std::string::npos;
              });
}

OptionText describe(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  if (option.get_items_expected_max() != 0) describe_argument(option.get_type_name(), text);
  if (text.positional()) text.value = option.get_name(true);
  text.description = option.get_description();
  text.default_value = option.get_default_str();
  text.required = option.get_required();
  text.needs = sorted_names(option.get_needs());
  text.excludes = sorted_names(option.get_excludes());
  return text;
}

}  // namespace

std::vector<OptionText> options_of(const CLI::App& app) {
  std::vector<OptionText> texts;
  for (const CLI::Option* const option : app.get_options()) texts.push_back(describe(*option));
  return texts;
}

std::vector<OptionText> all_options_of(const CLI::App& subcommand) {
  std::vector<OptionText> texts = options_of(subcommand);
  const size_t own = texts.size();
  for (OptionText& text : options_of(*subcommand.get_parent())) {
    const auto same = [&](const OptionText& other) { return other.names == text.names; };
    if (std::none_of(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(own), same))
      texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace combiner

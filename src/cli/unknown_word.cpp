#include "cli/unknown_word.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <vector>

#include "cli/nearest_name.h"

namespace combiner {
namespace {

const CLI::App* chosen_subcommand(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? nullptr : chosen.front();
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const subcommand : app.get_subcommands(nullptr))
    names.push_back(subcommand->get_name());
  return names;
}

std::vector<std::string> long_option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// Long names that begin with the letter of a short one, as other programs have: "; did you mean
// --seed?" for -s. Nothing if there are none, or too many to be of help.
std::string long_names_of(const std::string& short_name, const std::vector<std::string>& names) {
  constexpr size_t kMost = 3;
  std::set<std::string> found;
  for (const std::string& name : names)
    if (name.starts_with("-" + short_name)) found.insert(name);
  if (found.empty() || found.size() > kMost) return {};
  return fmt::format("; did you mean {}?", fmt::join(found, " or "));
}

std::string unknown_option(const std::string& name, const CLI::App& app) {
  const CLI::App* const chosen = chosen_subcommand(app);
  std::vector<std::string> names = long_option_names(app);
  if (chosen != nullptr) {
    const std::vector<std::string> own = long_option_names(*chosen);
    if (std::ranges::find(own, name) != own.end())
      return fmt::format("{} goes after {}, whose option it is", name, chosen->get_name());
    names.insert(names.end(), own.begin(), own.end());
  }
  const bool is_short = name.size() == 2;
  return fmt::format("{} is not an option of {}{}", name, (chosen ? chosen : &app)->get_name(),
                     is_short ? long_names_of(name, names) : did_you_mean(name, names));
}

}  // namespace

std::optional<std::string> complaint_about_unknown_word(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(true);
  const auto word = std::ranges::find_if(words, [](const auto& text) { return text != "--"; });
  if (word == words.end()) return std::nullopt;
  if (word->starts_with('-') && *word != "-")
    return unknown_option(word->substr(0, word->find('=')), app);
  const CLI::App* const chosen = chosen_subcommand(app);
  const std::vector<std::string> subcommands = subcommand_names(app);
  if (chosen == nullptr && !subcommands.empty())
    return fmt::format("{} is not a subcommand{}", *word, did_you_mean(*word, subcommands));
  return fmt::format("{} is not an argument of {}", *word, (chosen ? chosen : &app)->get_name());
}

}  // namespace combiner

#include "cli/man_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/definitions.h"

namespace combiner {
namespace {

constexpr std::pair<int, const char*> kExitCodes[] = {
    {0, "Success."},
    {1, "A failure, which is explained on standard error."},
    {2, "An invalid command line."},
    {130,
     "An interrupt. What is finished is kept, unless it is part of a file that would not be "
     "whole."},
};

constexpr std::pair<const char*, const char*> kEnvironment[] = {
    {"COLORTERM",
     "truecolor or 24bit says that the terminal shows 24-bit colours, as --show needs."},
    {"NO_COLOR", "With it set, --show shows nothing."},
    {"TERM", "A name that ends in -direct says the same as COLORTERM=truecolor."},
    {"TMPDIR", "Folder for large temporary files; without it, /var/tmp."},
};

// Plain text as roff that prints it. Lines must not begin as requests do.
std::string roff(std::string_view text) {
  std::string result;
  bool line_begins = true;
  for (const char letter : text) {
    if (line_begins && (letter == '.' || letter == '\'')) result += "\\&";
    line_begins = letter == '\n';
    switch (letter) {
      case '\\':
        result += "\\e";
        break;
      case '-':
        result += "\\-";
        break;
      case '`':
        result += "\\(ga";
        break;
      case '\'':
        result += "\\(aq";
        break;
      default:
        result += letter;
    }
  }
  return result;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string section(std::string_view title, std::string_view lines) {
  return lines.empty() ? std::string() : fmt::format(".SH {}\n{}", title, lines);
}

std::string entry(std::string_view tag, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", tag, roff(text));
}

std::string sentence(std::string_view text) {
  return fmt::format("{}{}", text, text.ends_with('.') ? "" : ".");
}

std::string option_entry(const OptionText& option) {
  std::string tag;
  for (const std::string& name : option.names) tag += (tag.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) tag += (tag.empty() ? "" : " ") + italic(option.value);

  std::string text = sentence(option.description);
  if (!option.choices.empty()) text += fmt::format(" One of {}.", fmt::join(option.choices, ", "));
  if (!option.default_value.empty()) text += fmt::format(" Default: {}.", option.default_value);
  if (option.required) text += " Required.";
  if (!option.needs.empty()) text += fmt::format(" Only with {}.", fmt::join(option.needs, ", "));
  if (!option.excludes.empty())
    text += fmt::format(" Not with {}.", fmt::join(option.excludes, ", "));
  return entry(tag, text);
}

std::string command_line(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name()
                                     : app.get_parent()->get_name() + " " + app.get_name();
}

std::string synopsis(const CLI::App& app) {
  std::string line = bold(command_line(app)) + " [" + italic("options") + "]";
  for (const OptionText& option : options_of(app))
    if (option.positional())
      line += option.required ? " " + italic(option.value) : " [" + italic(option.value) + "]";
  if (app.get_require_subcommand_min() > 0) line += " " + italic("subcommand");
  return line + "\n";
}

std::string description(const CLI::App& app) {
  const std::string footer = app.get_footer();
  return roff(sentence(app.get_description())) + "\n" +
         (footer.empty() ? "" : ".PP\n" + roff(footer) + "\n");
}

std::string subcommands(const CLI::App& app) {
  std::string entries;
  for (const CLI::App* const subcommand : app.get_subcommands(nullptr))
    entries += entry(bold(subcommand->get_name()), sentence(subcommand->get_description()));
  return entries;
}

std::string options(const CLI::App& app) {
  std::string entries;
  for (const OptionText& option :
       app.get_parent() == nullptr ? options_of(app) : all_options_of(app))
    entries += option_entry(option);
  return entries;
}

std::string exit_codes() {
  std::string entries;
  for (const auto& [code, meaning] : kExitCodes)
    entries += entry(bold(std::to_string(code)), meaning);
  return entries;
}

std::string environment() {
  std::string entries;
  for (const auto& [name, meaning] : kEnvironment) entries += entry(bold(name), meaning);
  return entries;
}

std::string see_also(const CLI::App& app) {
  std::vector<std::string> pages;
  if (app.get_parent() != nullptr) pages.push_back(man_page_name(*app.get_parent()));
  for (const CLI::App* const subcommand : app.get_subcommands(nullptr))
    pages.push_back(man_page_name(*subcommand));
  std::string lines;
  for (const std::string& page : pages)
    lines += fmt::format("{}(1){}\n", bold(page), page == pages.back() ? "" : ",");
  return lines;
}

}  // namespace

std::string man_page_name(const CLI::App& app) {
  std::string name = command_line(app);
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string man_page(const CLI::App& app) {
  const std::string name = roff(man_page_name(app));
  return fmt::format(".TH \"{}\" 1 \"\" \"combiner {}\" \"User Commands\"\n", name,
                     COMBINER_VERSION) +
         section("NAME", name + " \\- " + roff(app.get_description()) + "\n") +
         section("SYNOPSIS", synopsis(app)) + section("DESCRIPTION", description(app)) +
         section("SUBCOMMANDS", subcommands(app)) + section("OPTIONS", options(app)) +
         section("EXIT STATUS", exit_codes()) + section("ENVIRONMENT", environment()) +
         section("SEE ALSO", see_also(app));
}

}  // namespace combiner

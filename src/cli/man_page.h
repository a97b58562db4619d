// Manual pages in roff, made from the definitions of programs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace combiner {

// The name of the page about a program or a subcommand: combiner, combiner-sample.
std::string man_page_name(const CLI::App& app);

// The page, for section 1 of the manual.
std::string man_page(const CLI::App& app);

}  // namespace combiner

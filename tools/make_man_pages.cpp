// make_man_pages FOLDER: writes the manual pages of combiner and its subcommands.

#include <cstdio>
#include <exception>
#include <filesystem>

#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/man_page.h"
#include "cli/program.h"

namespace combiner {
namespace {

void write_page(const std::filesystem::path& folder, const CLI::App& app) {
  OutputFile file(folder / (man_page_name(app) + ".1"));
  file.write(man_page(app));
  file.commit();
}

void write_pages(const std::filesystem::path& folder) {
  ClusterAction unused;
  const auto program = define_program(commands(), unused);
  std::filesystem::create_directories(folder);
  write_page(folder, *program);
  for (const CLI::App* const subcommand : program->get_subcommands(nullptr))
    write_page(folder, *subcommand);
}

}  // namespace
}  // namespace combiner

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_man_pages FOLDER\n");
    return 2;
  }
  try {
    combiner::write_pages(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_man_pages: %s\n", error.what());
    return 1;
  }
}

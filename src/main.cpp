#include "cli/commands.h"
#include "cli/program.h"

int main(int argc, char** argv) { return combiner::run_program(combiner::commands, argc, argv); }

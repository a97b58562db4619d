// The test runner. `--isa SET`, before Catch2's own arguments, caps the instructions in use, as the
// program's option does; tests that run the program pass it on.
#if !__has_include(<catch2/catch_test_macros.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include <cstdio>
#include <string_view>

#include "catch.h"
#include "combiner/instruction_set.h"

int main(int argc, char** argv) {
  if (argc > 2 && argv[1] == std::string_view("--isa")) {
    const auto cap = combiner::instruction_set_named(argv[2]);
    if (!cap) {
      std::fprintf(stderr, "%s is no instruction set\n", argv[2]);
      return 2;
    }
    combiner::cap_instruction_set(*cap);
    argv[2] = argv[0];
    argc -= 2;
    argv += 2;
  }
  const int result = Catch::Session().run(argc, argv);
  if (result == 0 && !combiner::skip_reason.empty())
    std::printf("skipped: %s\n", combiner::skip_reason.c_str());
  return result;
}

#include "image/quietly.h"

#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "catch.h"
#include "image/stderr_of.h"

namespace combiner {
namespace {

TEST_CASE("quietly discards what its function prints and nothing else") {
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  const std::string printed = stderr_of([] {
    std::fputs("before ", stderr);
    quietly([] {
      std::fputs("swallowed", stderr);
      std::cerr << "swallowed too";
      std::async(std::launch::async, [] { std::fputs("swallowed three", stderr); }).get();
    });
    std::fputs("after", stderr);
  });
  CHECK(printed == "before after");
}

TEST_CASE("quietly leaves the standard error of other threads alone") {
  const std::string printed = stderr_of([] {
    std::promise<void> inside;
    std::promise<void> done;
    auto quiet = std::async(std::launch::async, [&] {
      quietly([&] {
        inside.set_value();
        done.get_future().wait();
      });
    });
    inside.get_future().wait();
    std::fputs("heard", stderr);
    done.set_value();
    quiet.get();
  });
  CHECK(printed == "heard");
}

TEST_CASE("quietly passes on results and exceptions") {
  CHECK(quietly([] { return 42; }) == 42);
  CHECK_THROWS_AS(quietly([] { throw std::runtime_error("loud"); }), std::runtime_error);
}

}  // namespace
}  // namespace combiner

#include "image/quietly.h"

#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>

#include "catch.h"
#include "image/stderr_of.h"

namespace combiner {
namespace {

TEST_CASE("quietly returns what its function prints and captures nothing else") {
  if (!threads_can_have_own_descriptors()) SKIP_TEST("threads can't have their own descriptors");
  std::string heard;
  const std::string printed = stderr_of([&] {
    std::fputs("before ", stderr);
    heard = quietly([] {
      std::fputs("one ", stderr);
      std::cerr << "two ";
      std::async(std::launch::async, [] { std::fputs("three ", stderr); }).get();
      std::fputs(std::string(1000, 'x').c_str(), stderr);
    });
    std::fputs("after", stderr);
  });
  CHECK(heard == "one two three " + std::string(1000, 'x'));
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

TEST_CASE("quietly passes on exceptions") {
  CHECK(quietly([] {}).empty());
  CHECK_THROWS_AS(quietly([] { throw std::runtime_error("loud"); }), std::runtime_error);
}

}  // namespace
}  // namespace combiner

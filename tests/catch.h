// The same names for Catch2 version 2 and version 3.
#pragma once

#include <sstream>
#include <string>

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

namespace combiner {

// The address sanitizer holds on to freed memory, and aborts a program that asks for too much
// memory.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// Matches text that contains `part`.
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_test_macros.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

// Why a test case does less here; empty if none does.
inline std::string skip_reason;

}  // namespace combiner

// Notes that the test case does less here. If it passes, the runner (main.cpp) says last that it is
// skipped, and why, which ctest recognises; a failure stays one.
#define NOTE_SKIPPED(reason)                                        \
  do {                                                              \
    WARN("skips: " << reason);                                      \
    combiner::skip_reason = (std::ostringstream() << reason).str(); \
  } while (false)

// The same, and ends the test case.
#define SKIP_TEST(reason) \
  do {                    \
    NOTE_SKIPPED(reason); \
    return;               \
  } while (false)

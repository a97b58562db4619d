// The same names for Catch2 version 2 and version 3.
#pragma once

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

}  // namespace combiner

// Ends the test case and marks it as skipped, which ctest recognises too.
#define SKIP_TEST(reason)        \
  do {                           \
    WARN("skipped: " << reason); \
    return;                      \
  } while (false)

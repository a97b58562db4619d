// Catch2, version 2 or 3, under the same names.
#pragma once

#include <string>

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

namespace combiner {

// The address sanitizer keeps what is freed, and ends a program that asks for too much memory.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// Matches text that holds `part`.
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_test_macros.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

}  // namespace combiner

// Ends the test case as skipped, for ctest too.
#define SKIP_TEST(reason)        \
  do {                           \
    WARN("skipped: " << reason); \
    return;                      \
  } while (false)

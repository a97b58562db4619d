#include "cli/nearest_name.h"

#include "catch.h"

namespace combiner {

TEST_CASE("nearest name: the edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("sample", "sample") == 0);
  CHECK(edit_distance("smple", "sample") == 1);
  CHECK(edit_distance("saample", "sample") == 1);
  CHECK(edit_distance("simple", "sample") == 1);
  CHECK(edit_distance("smaple", "sample") == 1);
  CHECK(edit_distance("smapel", "sample") == 2);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // 2 if what was swapped could be edited again
}

TEST_CASE("nearest name: only near names are suggested, the nearest first") {
  const std::vector<std::string> names = {"--seed", "--scale", "--temperature", "--top-k",
                                          "--top-p"};
  CHECK(did_you_mean("--sede", names) == "; did you mean --seed?");
  CHECK(did_you_mean("-seed", names) == "; did you mean --seed?");
  CHECK(did_you_mean("--scael", names) == "; did you mean --scale?");
  CHECK(did_you_mean("--tpo-p", names) == "; did you mean --top-p?");
  CHECK(did_you_mean("--temp", names) == "; did you mean --temperature?");
  CHECK(did_you_mean("--depth", names).empty());
  CHECK(did_you_mean("x", names).empty());
  CHECK(did_you_mean("", names).empty());
  CHECK(did_you_mean("--seed", {}).empty());
  CHECK(did_you_mean("log", {"logs", "log"}) == "; did you mean log?");
}

}  // namespace combiner

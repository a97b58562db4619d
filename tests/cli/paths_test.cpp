#include "cli/paths.h"

#include "catch.h"

namespace combiner {

TEST_CASE("paths: the last name of a path, also of one that ends in / or .") {
  CHECK(last_name("images.npz") == "images.npz");
  CHECK(last_name("/data/cifar-10") == "cifar-10");
  CHECK(last_name("data/cifar-10/") == "cifar-10");
  CHECK(last_name("cifar-10//") == "cifar-10");
  CHECK(last_name("data/cifar-10/.") == "cifar-10");
  CHECK(last_name("data/cifar-10/train/..") == "cifar-10");
  CHECK(last_name(".") == std::filesystem::current_path().filename());
  CHECK(last_name("/").empty());
}

}  // namespace combiner

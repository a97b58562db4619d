#include "cli/unpacked_pictures.h"

#include <atomic>
#include <filesystem>

#include "catch.h"
#include "cli/interrupt.h"
#include "cli/unpacked_names.h"
#include "error_of.h"
#include "file_text.h"
#include "image/stderr_of.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

CodedPicture named(std::string name) { return {1, 1, std::move(name), {}}; }

TEST_CASE("unpacked pictures: an .npz is not written once the program is interrupted") {
  const TempFolder folder;
  const std::vector<CodedPicture> pictures = {named("a.png")};
  const std::atomic<bool> interrupted = true;
  const auto to = unpack_to((folder / "x.npz").string(), pictures, {0}, interrupted);
  to->add(0, {1, 1, {1, 2, 3}});
  CHECK_THROWS_AS(to->finish(), Interrupted);
  CHECK_FALSE(fs::exists(folder / "x.npz"));
}

TEST_CASE("unpacked pictures: names of other pictures in a folder can't control the terminal") {
  const TempFolder folder;
  write_text(folder / "other\x1b[2J.png", "");
  const std::vector<CodedPicture> pictures = {named("a.png")};
  const std::atomic<bool> interrupted = false;
  const std::string said =
      stderr_of([&] { unpack_to(folder.path().string() + "/", pictures, {0}, interrupted); });
  CHECK_THAT(said, contains("also holds 1 picture not of this run: other\\x1b[2J.png\n"));
}

TEST_CASE("unpacked pictures: a path that is too long is found out first") {
  const TempFolder folder;
  std::string name = "n";
  while (name.size() < 4060) name += "/" + std::string(100, 'n');
  const std::vector<CodedPicture> pictures = {named(name)};
  const std::atomic<bool> interrupted = false;
  const std::string out = (folder / "out/").string();
  CHECK_THAT(error_of([&] { unpack_to(out, pictures, {0}, interrupted); }),
             contains("picture 0: its path in " + out + " has ") &&
                 contains("bytes; expected at most 4080; unpack to a .npz"));
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("unpacked names: no picture may be the folder of another") {
  const auto error = [](std::vector<std::string> names) {
    std::vector<CodedPicture> pictures;
    for (std::string& name : names) pictures.push_back(named(std::move(name)));
    return error_of([&] { unpacked_names(pictures); });
  };
  CHECK(error({"b/a.png/c.png", "a.png!", "b/a.png!", "b/a.png"}) ==
        "b/a.png would be unpacked as a file and as a folder, for b/a.png/c.png; rename one");
  CHECK(error({"a.png", "a/b.png", "a.png.png/c", "a.pngs/d"}) == "no Error was thrown");
}

}  // namespace
}  // namespace combiner

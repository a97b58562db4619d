#include "base/output_file.h"

#include <iterator>

#include "catch.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

std::ptrdiff_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

TEST_CASE("output file: replaces the old file only when committed") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "a.txt";
  write_file(path, "old");
  {
    OutputFile file(path);
    file.write("new, ");
    CHECK(read_text(path) == "old");
    file.write("and more");
    file.commit();
  }
  CHECK(read_text(path) == "new, and more");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("output file: without a commit nothing is left") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "a.txt";
  write_file(path, "old");
  { OutputFile(path).write("new"); }
  CHECK(read_text(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("output file: a failed rename is an Error and leaves nothing") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "a.txt";
  {
    OutputFile file(path);
    file.write("new");
    std::filesystem::create_directory(path);
    CHECK_THROWS_WITH(file.commit(),
                      contains("a.txt: can't put in place the file: Is a directory"));
  }
  CHECK(std::filesystem::is_directory(path));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("output file: devices are written in place") {
  write_file("/dev/null", "text");
  CHECK(std::filesystem::is_character_file("/dev/null"));
  OutputFile full("/dev/full");
  CHECK_THROWS_WITH(full.write("text"), contains("/dev/full: can't write the file: No space left"));
}

TEST_CASE("output file: paths that can't be files are refused") {
  const TempFolder folder;
  CHECK_THROWS_WITH(OutputFile(folder.path()), contains("is a folder"));
  CHECK_THROWS_WITH(OutputFile(folder / "none" / "a.txt"), contains("can't create the file"));
  CHECK_THROWS_WITH(OutputFile(""), contains("\"\" is not the name of a file"));
  CHECK_THROWS_WITH(OutputFile(folder / "none" / ""), contains("is not the name of a file"));
}

}  // namespace combiner

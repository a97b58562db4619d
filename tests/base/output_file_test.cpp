#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <iterator>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

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

TEST_CASE("output file: a name that is too long is an Error at once") {
  const TempFolder folder;
  write_file(folder / std::string(kLongestFileName, 'a'), "text");
  CHECK_THROWS_WITH(OutputFile(folder / std::string(kLongestFileName + 1, 'a')),
                    contains("can't create the file: File name too long"));
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

TEST_CASE("output file: what this process has open is written where it is") {
  const TempFolder folder;
  const fs::path path = folder / "all.txt";
  write_text(path, "before, ");
  const int log = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  REQUIRE(log >= 0);
  write_file(fmt::format("/dev/fd/{}", log), "after");
  ::close(log);
  CHECK(read_text(path) == "before, after");
  CHECK(files_in(folder.path()) == 1);

  std::array<int, 2> ends;
  REQUIRE(::pipe(ends.data()) == 0);
  write_file(fmt::format("/proc/self/fd/{}", ends[1]), "text");
  ::close(ends[1]);
  std::array<char, 10> text;
  CHECK(::read(ends[0], text.data(), text.size()) == 4);
  ::close(ends[0]);
  CHECK_THROWS_WITH(OutputFile("/proc/self/fd/1000000"), contains("can't open the file"));
  const int source = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK_THROWS_WITH(OutputFile(fmt::format("/dev/fd/{}", source)), contains("Bad file descriptor"));
  ::close(source);
}

TEST_CASE("output file: another user's files are replaced only where they may be") {
  if (::geteuid() != 0) SKIP_TEST("only root can become another user");
  const TempFolder folder;
  fs::create_directory(folder / "shared");
  // That user stays in root's group.
  fs::permissions(folder.path(), fs::perms::group_exec, fs::perm_options::add);
  fs::permissions(folder / "shared", fs::perms::all | fs::perms::sticky_bit);
  const fs::path open = folder / "shared/open.txt", shut = folder / "shared/shut.txt";
  for (const fs::path& path : {open, shut}) write_file(path, "before");
  fs::permissions(open, fs::perms::group_write, fs::perm_options::add);
  constexpr uid_t kNobody = 65534;
  REQUIRE(::seteuid(kNobody) == 0);
  const std::string written = error_of([&] { write_file(open, "after"); });
  const std::string refused = error_of([&] { write_file(shut, "after"); });
  REQUIRE(::seteuid(0) == 0);
  CHECK(written == "no Error was thrown");
  CHECK(read_text(open) == "after");
  CHECK_THAT(refused, contains("shut.txt: can't open the file: Permission denied"));
  CHECK(read_text(shut) == "before");
}

TEST_CASE("output file: until it is committed there is nothing beside it") {
  const TempFolder folder;
  OutputFile file(folder / "a.txt");
  file.write("text");
  CHECK(files_in(folder.path()) == 0);
  file.commit();
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("output file: what a killed run has left is replaced") {
  const TempFolder folder;
  write_text(folder / ".a.txt.combiner", "left");
  write_file(folder / "a.txt", "new");
  CHECK(read_text(folder / "a.txt") == "new");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("output file: links are followed, also where they lead nowhere yet") {
  const TempFolder folder;
  fs::create_directory(folder / "real");
  fs::create_symlink("real/there.txt", folder / "link.txt");
  fs::create_symlink("link.txt", folder / "link to link.txt");
  for (const char* text : {"first", "second"}) {
    write_file(folder / "link to link.txt", text);
    CHECK(fs::is_symlink(folder / "link.txt"));
    CHECK(fs::is_symlink(folder / "link to link.txt"));
    CHECK(read_text(folder / "real/there.txt") == text);
  }
  CHECK(files_in(folder / "real") == 1);
  fs::create_symlink("loop", folder / "loop");
  CHECK_THROWS_WITH(OutputFile(folder / "loop"), contains("loop: can't create the file"));
}

TEST_CASE("output file: the mode of a file is kept, and a new one has the usual") {
  const TempFolder folder;
  const fs::path path = folder / "a.txt";
  write_file(path, "old");
  const mode_t mask = ::umask(0);
  ::umask(mask);
  CHECK((fs::status(path).permissions() == static_cast<fs::perms>(0666 & ~mask)));
  fs::permissions(path, static_cast<fs::perms>(0600));
  write_file(path, "new");
  CHECK((fs::status(path).permissions() == static_cast<fs::perms>(0600)));
  CHECK(read_text(path) == "new");
}

TEST_CASE("output file: a file on which another is mounted is written in place") {
  const TempFolder folder;
  const fs::path path = folder / "a.txt", source = folder / "source.txt";
  write_text(path, "under it");
  write_text(source, "a long old text");
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    SKIP_TEST("nothing may be mounted here");
  {
    OutputFile file(path);
    file.write("new ");
    CHECK(read_text(path) == "a long old text");
    file.write("text");
    file.commit();
  }
  CHECK(read_text(path) == "new text");
  CHECK(read_text(source) == "new text");
  ::umount(path.c_str());
  CHECK(read_text(path) == "under it");
}

TEST_CASE("output file: a name may be as long as the file system allows") {
  const TempFolder folder;
  const fs::path path = folder / std::string(255, 'a');
  OutputFile file(path);
  file.write("text");
  file.commit();
  CHECK(read_text(path) == "text");
}

TEST_CASE("output file: paths that can't be files are refused") {
  const TempFolder folder;
  CHECK_THROWS_WITH(OutputFile(folder.path()), contains("is a folder"));
  CHECK_THROWS_WITH(OutputFile(folder / "none" / "a.txt"), contains("can't create the file"));
  CHECK_THROWS_WITH(OutputFile(""), contains("\"\" is not the name of a file"));
  CHECK_THROWS_WITH(OutputFile(folder / "none" / ""), contains("is not the name of a file"));
}

}  // namespace combiner

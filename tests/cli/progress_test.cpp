#include "cli/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include "catch.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

// What `work` writes to standard error, which is a file meanwhile.
template <class Work>
std::string written_by(const Work& work) {
  const TempFolder folder;
  const std::string path = (folder / "err").string();
  const int before = ::dup(STDERR_FILENO);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, STDERR_FILENO);
  work();
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  ::close(file);
  return read_text(path);
}

TEST_CASE("progress: without a terminal there are lines, but not before their time") {
  using std::chrono::hours;
  CHECK(written_by([] {
          Progress progress("images");
          for (int i = 0; i < 100; ++i) progress.update(i, i / 100.0, "3.4 bits/dim");
          progress.clear();
        }).empty());
  CHECK(written_by([] {
          Progress progress("images", hours(1));
          progress.update(0, 0);
          progress.update(50, 0.5);
        }).empty());
}

TEST_CASE("progress: a line without a terminal is plain text") {
  const std::string text = written_by([] {
    Progress progress("images", std::chrono::seconds(0));
    progress.update(0, 0);
    progress.update(1, 0.25, "3.4 bits/dim");
    progress.clear();
  });
  CHECK(text.starts_with("0 images, 0.0 %\n1 image, 25.0 %, "));
  CHECK(text.ends_with(" left, 3.4 bits/dim\n"));
  CHECK(text.find_first_of("\r\x1b") == text.npos);
}

TEST_CASE("progress: durations are in the unit that suits them") {
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(59.4) == "59 s");
  CHECK(duration_text(187) == "3:07 min");
  CHECK(duration_text(7380) == "2:03 h");
}

}  // namespace
}  // namespace combiner

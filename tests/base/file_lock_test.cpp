#include "base/file_lock.h"

#include <filesystem>

#include "base/output_file.h"
#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

TEST_CASE("file lock: others are kept out, also after the file was replaced or written in place") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "a.checkpoint";
  FileLock lock, other;
  lock.take(path);  // there is none
  CHECK_NOTHROW(lock.require_same(path));
  write_text(path, "first");
  CHECK_THAT(error_of([&] { lock.require_same(path); }), contains("has replaced it"));
  const auto is_locked = [&] {
    lock.take(path);
    CHECK_NOTHROW(lock.require_same(path));
    CHECK_THAT(error_of([&] { other.take(path); }), contains("written by another run"));
  };
  is_locked();
  write_text(path, "in place");
  is_locked();
  OutputFile replaced(path);
  replaced.commit();
  CHECK_THAT(error_of([&] { lock.require_same(path); }), contains("has replaced it"));
  is_locked();
}

TEST_CASE("file lock: ends with its owner, and devices have none") {
  const TempFolder folder;
  write_text(folder / "a", "");
  {
    FileLock lock;
    lock.take(folder / "a");
  }
  FileLock lock;
  CHECK_NOTHROW(lock.take(folder / "a"));
  FileLock device;
  device.take("/dev/null");
  CHECK_NOTHROW(device.require_same("/dev/null"));
}

}  // namespace
}  // namespace combiner

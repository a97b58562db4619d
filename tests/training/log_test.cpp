#include "training/log.h"

#include <fmt/format.h>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const std::string kHeader =
    "step,images,seconds,loss,validation,learning_rate,gradient_norm,images_per_second\n";

RunReport report_of(int64_t step) {
  RunReport report;
  report.step = {step, 4 * step, 5.25, 0.001, 0.75};
  report.seconds = 12.5;
  report.images_per_second = 8;
  return report;
}
std::string row_of(int64_t step) {
  return fmt::format("{},{},12.500,5.25,,0.001,0.75,8\n", step, 4 * step);
}

void write_rows(const fs::path& path, int64_t first, int64_t last) {
  TrainingLog log(path, first - 1);
  log.begin();
  for (int64_t step = first; step <= last; ++step) log.write(report_of(step));
}

TEST_CASE("training log: writes one row per step, at once") {
  const TempFolder folder;
  const fs::path path = folder / "run.csv";
  TrainingLog log(path, 0);
  CHECK(!fs::exists(path));  // until it begins
  log.begin();
  CHECK(read_text(path) == kHeader);
  CHECK(!has_rows_after(path, 0));
  log.write(report_of(1));
  CHECK(read_text(path) == kHeader + row_of(1));
  CHECK(has_rows_after(path, 0));
  CHECK(!has_rows_after(path, 1));
  RunReport measured = report_of(2);
  measured.validation = 4.5;
  log.write(measured);
  CHECK(read_text(path) == kHeader + row_of(1) + "2,8,12.500,5.25,4.50000,0.001,0.75,8\n");
}

TEST_CASE("training log: resuming drops the rows of steps that are repeated") {
  const TempFolder folder;
  const fs::path path = folder / "run.csv";
  write_rows(path, 1, 12);
  write_rows(path, 10, 10);
  std::string expected = kHeader;
  for (int64_t step = 1; step <= 10; ++step) expected += row_of(step);
  CHECK(read_text(path) == expected);

  // A run from the start replaces the log.
  write_rows(path, 1, 1);
  CHECK(read_text(path) == kHeader + row_of(1));

  // The checkpoint's log is missing.
  fs::remove(path);
  write_rows(path, 7, 7);
  CHECK(read_text(path) == kHeader + row_of(7));
}

TEST_CASE("training log: an incomplete last row is dropped") {
  const TempFolder folder;
  const fs::path path = folder / "run.csv";
  const std::string whole = kHeader + row_of(1);
  const std::string last = row_of(2);
  for (size_t size = 0; size < last.size(); ++size) {
    write_text(path, whole + last.substr(0, size));
    TrainingLog(path, 2).begin();
    CHECK(read_text(path) == whole);
  }
  write_text(path, "");  // even the header may be missing
  TrainingLog(path, 2).begin();
  CHECK(read_text(path) == kHeader);
}

TEST_CASE("training log: another file is not overwritten") {
  const TempFolder folder;
  const fs::path path = folder / "table.csv";
  for (const int64_t last_step : {0, 5}) {
    for (const std::string text : {"name,price\ntea,3\n", "x", "\n"}) {
      write_text(path, text);
      CHECK_THAT(error_of([&] { TrainingLog(path, last_step); }),
                 contains(path.string() + ": not a training log"));
      CHECK(read_text(path) == text);
    }
  }
}

TEST_CASE("training log: a path that can't be written is an error") {
  const TempFolder folder;
  CHECK_THAT(error_of([&] { TrainingLog(folder / "absent/run.csv", 0); }),
             contains("can't create the file"));
  CHECK_THAT(error_of([&] { TrainingLog(folder.path(), 0); }), contains("is a folder"));
  TrainingLog none("/dev/null", 3);  // for those who want no log
  none.begin();
  none.write(report_of(4));
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  CHECK_THAT(error_of([] { TrainingLog("/dev/full", 0).begin(); }),
             contains("/dev/full: can't write"));
}

}  // namespace
}  // namespace combiner

#include "dataset/npz_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "catch.h"
#include "data_folders.h"
#include "dataset/npz_writer.h"
#include "dataset/zip_files.h"
#include "error_of.h"
#include "file_text.h"
#include "image/resize.h"
#include "random.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRecords = 5;  // in the files made by NumPy

DatasetOptions options(int size, const fs::path& scratch, Split split = Split::test) {
  return {.split = split, .width = size, .height = size, .scratch = scratch};
}

std::vector<uint8_t> read(const Dataset& dataset, int64_t index) {
  std::vector<uint8_t> pixels(static_cast<size_t>(3 * dataset.width() * dataset.height()));
  dataset.read(index, pixels);
  return pixels;
}

// A record of the files made by NumPy, as pixels.
std::vector<uint8_t> numpy_record(int64_t record) {
  std::vector<uint8_t> pixels;
  for (int pixel = 0; pixel < 64; ++pixel)
    for (int channel = 0; channel < 3; ++channel)
      pixels.push_back(static_cast<uint8_t>(37 * record + 64 * channel + pixel));
  return pixels;
}

// An image of one value.
std::vector<uint8_t> flat(int size, int value) {
  return std::vector<uint8_t>(static_cast<size_t>(3 * size * size), static_cast<uint8_t>(value));
}

void write_npz(const fs::path& path, int size, const std::vector<int>& values,
               NpzCompression compression = NpzCompression::deflated) {
  NpzWriter writer(path, size, compression);
  for (const int value : values) writer.add(flat(size, value), 1);
  REQUIRE(writer.finish({}));
}

TEST_CASE("Stored and compressed npz files of NumPy are read in any order") {
  const TempFolder scratch;
  for (const char* name : {"stored.npz", "compressed.npz"}) {
    const fs::path path = npz_folder() / name;
    INFO(path);
    const auto dataset = open_dataset(path, options(8, scratch.path()));
    CHECK(dataset->size() == kRecords);
    CHECK(dataset->width() == 8);
    CHECK(dataset->height() == 8);
    for (const int64_t record : {3, 0, 4, 4, 1, 2})
      CHECK(read(*dataset, record) == numpy_record(record));
    CHECK(dataset->describe(4) == path.string() + " record 4");
    CHECK(fs::is_empty(scratch.path()));  // scratch files have no name
  }
}

TEST_CASE("An npz without a record has no images, which is said") {
  const TempFolder folder;
  write_npz(folder / "none.npz", 4, {});
  CHECK(error_of([&] { open_dataset(folder / "none.npz", options(4, folder.path())); }) ==
        (folder / "none.npz").string() + ": has no images");
}

TEST_CASE("npz batches in a folder are sorted by their numbers") {
  const TempFolder folder;
  write_npz(folder / "train_data_batch_10.npz", 2, {40});
  write_npz(folder / "train_data_batch_2.npz", 2, {20, 30}, NpzCompression::stored);
  write_npz(folder / "train_data_batch_1.npz", 2, {10});
  write_npz(folder / "val_data.npz", 2, {50, 60});
  write_text(folder / "train_data_batch_x.npz", "not a batch");

  const auto train = open_dataset(folder.path(), options(2, folder.path(), Split::train));
  REQUIRE(train->size() == 4);
  for (int i = 0; i < 4; ++i) CHECK(read(*train, i) == flat(2, 10 * (i + 1)));
  CHECK(train->describe(2) == (folder / "train_data_batch_2.npz").string() + " record 1");
  CHECK(train->describe(3) == (folder / "train_data_batch_10.npz").string() + " record 0");

  const auto test = open_dataset(folder.path(), options(2, folder.path()));
  REQUIRE(test->size() == 2);
  CHECK(read(*test, 1) == flat(2, 60));

  fs::remove(folder / "val_data.npz");
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), options(2, folder.path())); }),
             contains("has no test split; expected val_data.npz"));
  const TempFolder other;
  write_npz(other / "val_data.npz", 2, {1});
  CHECK_THAT(error_of([&] { open_dataset(other.path(), options(2, other.path(), Split::train)); }),
             contains("has no train split; expected train_data_batch_*.npz"));
}

TEST_CASE("npz images of another size are refused or resampled") {
  const TempFolder folder;
  const fs::path path = npz_folder() / "stored.npz";
  DatasetOptions wanted = options(64, folder.path());
  CHECK_THAT(error_of([&] { open_dataset(path, wanted); }),
             contains("stored.npz: has images of 8x8 pixels; expected 64x64, the size needed"));
  wanted.resize = true;
  wanted.width = wanted.height = 4;
  const auto dataset = open_dataset(path, wanted);
  CHECK(dataset->width() == 4);
  CHECK(read(*dataset, 2) == resize_to({8, 8, numpy_record(2)}, 4, 4).pixels);
}

TEST_CASE("A large compressed npz is read by many threads, in any order") {
  const TempFolder folder;
  Random random(1);
  constexpr int kSize = 32, kMany = 150;  // decompressed in seven chunks
  std::vector<std::vector<uint8_t>> images;
  NpzWriter writer(folder / "many.npz", kSize, NpzCompression::deflated);
  for (int i = 0; i < kMany; ++i)
    writer.add(images.emplace_back(random.bytes(3 * kSize * kSize)), i);
  REQUIRE(writer.finish({}));

  const auto dataset = open_dataset(folder / "many.npz", options(kSize, folder.path()));
  std::vector<std::future<bool>> equal;
  for (uint64_t thread = 0; thread < 4; ++thread) {
    equal.push_back(std::async(std::launch::async, [&, thread] {
      Random order(thread);
      for (int i = 0; i < 300; ++i) {
        const size_t index = order.below(kMany);
        if (read(*dataset, static_cast<int64_t>(index)) != images[index]) return false;
      }
      return true;
    }));
  }
  for (auto& each : equal) CHECK(each.get());
}

TEST_CASE("Without a folder for temporary files, only stored npz files can be read") {
  const TempFolder folder;
  const DatasetOptions nowhere = options(8, folder / "none");
  CHECK(open_dataset(npz_folder() / "stored.npz", nowhere)->size() == kRecords);
  CHECK_THAT(error_of([&] { open_dataset(npz_folder() / "compressed.npz", nowhere); }),
             contains("none: can't create a temporary file there: No such file"));
}

// The Error of opening an npz file with these members.
std::string error_of_members(const std::vector<ZipFile>& members) {
  const TempFolder folder;
  const fs::path path = write_text(folder / "a.npz", stored_zip(members));
  return error_of([&] { open_npz(path, options(2, folder.path())); });
}

std::string error_of_data(const std::string& file) {
  return error_of_members({{"labels.npy", "?"}, {"data.npy", file}});
}

std::string header(const std::string& dtype, const std::string& shape) {
  return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape);
}

TEST_CASE("An npz with an invalid array is refused") {
  const std::string two(24, 'x');
  CHECK(error_of_data(npy(header("|u1", "(2, 12)"), two)) == "no Error was thrown");
  CHECK(error_of_data(npy(header("|u1", "(0, 12)"))) == "no Error was thrown");

  CHECK_THAT(error_of_members({{"labels.npy", ""}, {"mean.npy", ""}}),
             contains("a.npz: has no member data.npy; it has labels.npy, mean.npy"));
  CHECK_THAT(error_of_members({}), contains("a.npz: has no member data.npy; it has no members"));
  CHECK_THAT(error_of_data(""), contains("a.npz: data.npy: isn't a NumPy array"));
  CHECK_THAT(error_of_data("garbage"), contains("a.npz: data.npy: isn't a NumPy array"));
  for (const char* dtype : {"|i1", "<i8", "<f4", "|b1", "<u2", "b", "|u11", "?", "U1", "", "<"})
    CHECK_THAT(error_of_data(npy(header(dtype, "(2, 12)"), two)),
               contains(fmt::format("a.npz: data.npy: has the dtype {}; expected |u1", dtype)));
  CHECK_THAT(error_of_data(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 12), }", two)),
             contains("a.npz: data.npy: is in Fortran's order"));
  for (const char* shape : {"24", "2, 2, 2, 3", "2, 13", "2, 0", "2, 3, 4", "1, 24",
                            "2, 9223372036854775807", "0, 4611686018427387904"})
    CHECK_THAT(error_of_data(npy(header("|u1", fmt::format("({},)", shape)), two)),
               contains(fmt::format("a.npz: data.npy: has the shape ({}); expected (records, "
                                    "3 size size)",
                                    shape)));
  for (const char* records : {"0", "1", "3", "9223372036854775807"})
    CHECK_THAT(error_of_data(npy(header("|u1", fmt::format("({}, 12)", records)), two)),
               contains(fmt::format("a.npz: data.npy: has 24 bytes after its header; expected {} "
                                    "records of 12",
                                    records)));
  CHECK_THAT(error_of_data(npy(header("|u1", "(2, 12)"), two + "x")),
             contains("has 25 bytes after its header; expected 2 records of 12"));
}

TEST_CASE("An npz has labels of any integer type") {
  const TempFolder folder;
  const auto labels_of = [&](const std::string& dtype, const std::string& shape,
                             const std::string& bytes) {
    const fs::path path =
        write_text(folder / "a.npz",
                   stored_zip({{"labels.npy", npy(header(dtype, shape), bytes)},
                               {"data.npy", npy(header("|u1", "(2, 12)"), std::string(24, 'x'))}}));
    const auto images = open_npz(path, options(2, folder.path()));
    return std::pair(images->label(0), images->label(1));
  };
  using std::string_literals::operator""s;
  const auto expected = [](int64_t first, int64_t second) {
    return std::pair(std::optional(first), std::optional(second));
  };
  CHECK(labels_of("|u1", "(2,)", "\x05\xff") == expected(5, 255));
  CHECK(labels_of("|i1", "(2,)", "\x05\xff") == expected(5, -1));
  CHECK(labels_of("<i4", "(2, 1)", "\1\2\0\0\xfe\xff\xff\xff"s) == expected(513, -2));
  CHECK(labels_of(">u2", "(2,)", "\1\2\xff\xfe") == expected(258, 65534));
  CHECK(labels_of(">i8", "(2,)", "\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\t"s) == expected(7, 9));
  const auto none = std::pair(std::optional<int64_t>(), std::optional<int64_t>());
  CHECK(labels_of("<f4", "(2,)", "\0\0\0\0\0\0\0\0"s) == none);
  CHECK(labels_of("<i4", "(1, 2)", "\0\0\0\0\0\0\0\0"s) == none);
  CHECK(labels_of("<i4", "(2,)", "\0\0\0\0"s) == none);
}

TEST_CASE("An npz may call bytes by any of NumPy's names for them") {
  for (const char* dtype : {"|u1", "<u1", ">u1", "=u1", "u1", "B", "|B", "<B", "uint8", "ubyte"}) {
    INFO(dtype);
    CHECK(error_of_data(npy(header(dtype, "(2, 12)"), std::string(24, 'x'))) ==
          "no Error was thrown");
  }
}

TEST_CASE("Missing npz files and images for validation") {
  const TempFolder folder;
  const std::string archive =
      stored_zip({{"data.npy", npy(header("|u1", "(1, 12)"), "123456789012")}});
  std::vector<std::string> notices;
  DatasetOptions train = options(2, folder.path());
  train.split = Split::train;
  train.notice = [&](const std::string& line) { notices.push_back(line); };
  write_text(folder / "train_data_batch_1.npz", archive);
  write_text(folder / "train_data_batch_2.npz", archive);
  CHECK(open_dataset(folder.path(), train)->size() == 2);
  CHECK(notices.empty());
  CHECK_FALSE(open_validation(folder.path(), train));
  write_text(folder / "train_data_batch_4.npz", archive);
  write_text(folder / "val_data.npz", archive);
  CHECK(open_dataset(folder.path(), train)->size() == 3);
  CHECK(notices == std::vector<std::string>{folder.path().string() +
                                            ": 3 images; train_data_batch_3.npz missing"});
  const auto own = open_validation(folder.path(), train);
  REQUIRE(own);
  CHECK(own->path == folder / "val_data.npz");
  CHECK(own->images->size() == 1);

  train.notice = {};
  CHECK(open_dataset(folder.path(), train)->size() == 3);
  write_text(folder / "val_data.npz",
             stored_zip({{"data.npy", npy(header("|u1", "(0, 12)"), "")}}));
  CHECK(error_of([&] { open_validation(folder.path(), train); }) ==
        (folder / "val_data.npz").string() + ": has no images");
}

TEST_CASE("A file that isn't a zip archive is refused") {
  const TempFolder folder;
  const auto error = [&](const fs::path& path) {
    return error_of([&] { open_npz(path, options(8, folder.path())); });
  };
  CHECK_THAT(error(write_text(folder / "text.npz", "no archive")),
             contains("text.npz: is not a NumPy archive (.npz); it is text"));
  CHECK_THAT(error(write_text(folder / "empty.npz", "")), contains("empty.npz: "));
  CHECK_THAT(error(folder / "none.npz"), contains("none.npz: can't open the file: No such file"));
  CHECK_THAT(error("/dev/null"), contains("/dev/null: is a folder, device, pipe or socket"));
}

TEST_CASE("A stored member of two sizes is refused") {
  const TempFolder folder;
  std::string archive = stored_zip({{"data.npy", npy(header("|u1", "(1, 12)"), "123456789012")}});
  const size_t sizes = archive.find("PK\1\2") + 20;  // the directory has the compressed size first
  archive[sizes] = archive[sizes + 1] = 0;
  const fs::path path = write_text(folder / "a.npz", archive);
  CHECK_THAT(error_of([&] { open_npz(path, options(2, folder.path())); }),
             contains("data.npy: is stored as 0 bytes; expected "));
}

// Opens the file and reads all of its records.
std::vector<std::vector<uint8_t>> read_all(const fs::path& path, const fs::path& scratch) {
  const auto dataset = open_npz(path, options(8, scratch));
  std::vector<std::vector<uint8_t>> records;
  for (int64_t i = 0; i < dataset->size(); ++i) records.push_back(read(*dataset, i));
  return records;
}

TEST_CASE("A truncated npz is refused") {
  const TempFolder folder;
  for (const char* name : {"stored.npz", "compressed.npz"}) {
    const std::string whole = read_text(npz_folder() / name);
    REQUIRE(whole.size() > 1000);
    for (size_t length = 0; length < whole.size(); ++length) {
      const fs::path path = write_text(folder / "cut.npz", whole.substr(0, length));
      const std::string message = error_of([&] { read_all(path, folder.path()); });
      if (message.find("cut.npz: ") == std::string::npos)
        FAIL(name << " cut to " << length << " bytes: " << message);
    }
  }
}

TEST_CASE("A damaged npz never gives other images") {
  const TempFolder folder;
  const std::string whole = read_text(npz_folder() / GENERATE("stored.npz", "compressed.npz"));
  std::vector<std::vector<uint8_t>> expected;
  for (int64_t record = 0; record < kRecords; ++record) expected.push_back(numpy_record(record));
  int refused = 0;
  for (const int damage : {1, 8, 255}) {
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ damage);
      const fs::path path = write_text(folder / "damaged.npz", damaged);
      try {
        // Damage to other parts (dates, labels) need not be detected.
        if (read_all(path, folder.path()) != expected)
          FAIL("byte " << at << " changed by " << damage << " gives other images");
      } catch (const Error& error) {
        REQUIRE_THAT(error.what(), contains("damaged.npz: "));
        ++refused;
      }
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("Checking an npz can be watched, and ended") {
  const TempFolder folder;
  DatasetOptions watched = options(8, folder.path());
  int64_t done = 0, all = 0;
  watched.checking = [&](const fs::path& file, int64_t bytes, int64_t total) {
    CHECK(file.filename() == "stored.npz");
    CHECK(bytes > done);
    done = bytes;
    all = total;
  };
  open_npz(npz_folder() / "stored.npz", watched);
  CHECK(all > kRecords * 3 * 8 * 8);
  CHECK(done == all);
  watched.checking = [](const fs::path&, int64_t, int64_t) { throw Error("enough"); };
  CHECK(error_of([&] { open_npz(npz_folder() / "stored.npz", watched); }) == "enough");
}

TEST_CASE("Damage in an npz is found when it is opened, and named") {
  const TempFolder folder;
  for (const auto compression : {NpzCompression::stored, NpzCompression::deflated}) {
    Random random(1);
    NpzWriter writer(folder / "a.npz", 8, compression);
    for (int i = 0; i < 9; ++i) writer.add(random.bytes(3 * 8 * 8), i);
    REQUIRE(writer.finish({}));
    std::string text = read_text(folder / "a.npz");
    text[text.size() / 2] ^= 1;  // one of the pixels, which deflate can't make smaller
    write_text(folder / "a.npz", text);
    CHECK_THAT(error_of([&] { open_npz(folder / "a.npz", options(8, folder.path())); }),
               contains("a.npz: data.npy: is damaged: its bytes do not have the checksum"));
  }
}

}  // namespace
}  // namespace combiner

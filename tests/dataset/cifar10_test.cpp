#include "dataset/cifar10.h"

#include <cstdlib>
#include <fstream>
#include <vector>

#include "catch.h"
#include "error_of.h"
#include "image/resize.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const DatasetOptions kTrain{.split = Split::train, .width = 32, .height = 32};
const DatasetOptions kTest{.split = Split::test, .width = 32, .height = 32};

// The value of one channel of one pixel in the made-up image `number`.
uint8_t value(int number, int channel, int pixel) {
  return static_cast<uint8_t>(50 * number + 90 * channel + 7 * pixel + pixel / 32);
}

// The records of images `first` to `first` + `count` - 1.
std::string records(int first, int count, char label = 9) {
  std::string bytes;
  for (int number = first; number < first + count; ++number) {
    bytes += label;
    for (int channel = 0; channel < 3; ++channel) {
      for (int pixel = 0; pixel < 1024; ++pixel) {
        bytes += static_cast<char>(value(number, channel, pixel));
      }
    }
  }
  return bytes;
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<uint8_t> interleaved(int number) {
  std::vector<uint8_t> pixels;
  for (int pixel = 0; pixel < 1024; ++pixel) {
    for (int channel = 0; channel < 3; ++channel) pixels.push_back(value(number, channel, pixel));
  }
  return pixels;
}

std::vector<uint8_t> read(const Dataset& dataset, int64_t index) {
  std::vector<uint8_t> pixels(static_cast<size_t>(3 * dataset.width() * dataset.height()));
  dataset.read(index, pixels);
  return pixels;
}

TEST_CASE("CIFAR-10 batches are sorted by their numbers") {
  const TempFolder folder;
  write(folder / "data_batch_10.bin", records(3, 1));
  write(folder / "data_batch_2.bin", records(1, 2));
  write(folder / "data_batch_1.bin", records(0, 1));
  write(folder / "test_batch.bin", records(7, 2));
  write(folder / "data_batch_x.bin", "not a batch");
  write(folder / "batches.meta.txt", "airplane");

  const auto train = open_dataset(folder.path(), kTrain);
  CHECK(train->size() == 4);
  CHECK(train->width() == 32);
  CHECK(train->height() == 32);
  for (int number = 0; number < 4; ++number) CHECK(read(*train, number) == interleaved(number));
  CHECK(train->describe(0) == (folder / "data_batch_1.bin").string() + " record 0");
  CHECK(train->describe(2) == (folder / "data_batch_2.bin").string() + " record 1");
  CHECK(train->describe(3) == (folder / "data_batch_10.bin").string() + " record 0");

  const auto test = open_dataset(folder.path(), kTest);
  CHECK(test->size() == 2);
  CHECK(read(*test, 1) == interleaved(8));
}

TEST_CASE("Missing CIFAR-10 batches are noticed by name") {
  const TempFolder folder;
  std::vector<std::string> notices;
  const auto notices_of = [&](DatasetOptions options) {
    notices.clear();
    options.notice = [&](const std::string& line) { notices.push_back(line); };
    open_dataset(folder.path(), options);
    return notices;
  };
  write(folder / "test_batch.bin", records(7, 1));
  write(folder / "data_batch_2.bin", records(0, 2));
  write(folder / "data_batch_4.bin", records(0, 1));
  CHECK(open_dataset(folder.path(), {.split = Split::train, .notice = {}})->size() == 3);
  CHECK(notices_of(kTrain) ==
        std::vector<std::string>{folder.path().string() +
                                 ": 3 images; CIFAR-10 has more: data_batch_1.bin, "
                                 "data_batch_3.bin, data_batch_5.bin missing"});
  CHECK(notices_of(kTest).empty());
  for (const char* name : {"data_batch_1.bin", "data_batch_3.bin", "data_batch_5.bin"})
    write(folder / name, records(0, 1));
  CHECK(notices_of(kTrain).empty());
  write(folder / "data_batch_2000000000.bin", records(0, 1));
  CHECK_THAT(notices_of(kTrain).at(0), contains("data_batch_6.bin, data_batch_7.bin"));
  CHECK_FALSE(open_validation(folder.path(), kTrain));  // its test images are for the end
}

TEST_CASE("A single CIFAR-10 file is a data set") {
  const TempFolder folder;
  write(folder / "some.bin", records(0, 3));
  for (const DatasetOptions& options : {kTrain, kTest}) {
    const auto dataset = open_dataset(folder / "some.bin", options);
    CHECK(dataset->size() == 3);
    CHECK(read(*dataset, 2) == interleaved(2));
  }
}

TEST_CASE("CIFAR-10 images are resampled on request") {
  const TempFolder folder;
  write(folder / "test_batch.bin", records(0, 2));
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), {.width = 64, .height = 32}); }),
             contains("has images of 32x32 pixels; expected 64x32"));
  const auto dataset = open_dataset(folder.path(), {.width = 16, .height = 16, .resize = true});
  CHECK(dataset->width() == 16);
  CHECK(read(*dataset, 1) == resize_to({32, 32, interleaved(1)}, 16, 16).pixels);
}

TEST_CASE("Damaged CIFAR-10 files are refused") {
  const TempFolder folder;
  const fs::path path = folder / "test_batch.bin";
  const auto error = [&](const std::string& bytes) {
    write(path, bytes);
    return error_of([&] { open_dataset(folder.path(), kTest); });
  };
  const std::string two = records(0, 2);
  CHECK_THAT(
      error(two + "12345"),
      contains("test_batch.bin: has 6151 bytes: 2 records of 3073 bytes and a remainder of 5"));
  CHECK_THAT(error(two.substr(0, two.size() - 1)), contains("a remainder of 3072"));
  CHECK_THAT(error("\1"), contains("has 1 byte: 0 records of 3073 bytes and a remainder of 1"));
  CHECK_THAT(error(""), contains("test_batch.bin: is empty"));
  CHECK_THAT(error(records(0, 1) + records(1, 1, 10)),
             contains("test_batch.bin: record 1 has the label 10; expected 0 to 9"));

  CHECK_THAT(error_of([&] { open_dataset(folder.path(), kTrain); }),
             contains("has no train split; expected data_batch_*.bin"));
  fs::remove(path);
  write(folder / "data_batch_1.bin", two);
  CHECK_THAT(error_of([&] { open_dataset(folder.path(), kTest); }),
             contains("test_batch.bin: can't open the file: No such file"));
}

TEST_CASE("The shared CIFAR-10 set has the number and the mean of images that its notes state") {
  const char* variable = std::getenv("COMBINER_SHARED");
  const fs::path shared =
      variable ? fs::path(variable) : fs::path(__FILE__).parent_path() / "../../../shared";
  const fs::path folder = shared / "data/cifar-10";
  if (!fs::exists(folder)) SKIP_TEST(folder << " is absent");

  const auto train = open_dataset(folder, kTrain);
  const auto test = open_dataset(folder, kTest);
  CHECK(train->size() == 49923);
  CHECK(test->size() == 4989);

  // The published mean of the training images in each channel, as a fraction of 255.
  double sums[3] = {};
  std::vector<uint8_t> pixels(3072);
  for (int64_t i = 0; i < train->size(); ++i) {
    train->read(i, pixels);
    int sum[3] = {};
    for (size_t byte = 0; byte < pixels.size(); ++byte) sum[byte % 3] += pixels[byte];
    for (int channel = 0; channel < 3; ++channel) sums[channel] += sum[channel];
  }
  const double scale = 1 / (255.0 * 1024 * static_cast<double>(train->size()));
  CHECK(std::abs(sums[0] * scale - 0.4914) < 2e-4);
  CHECK(std::abs(sums[1] * scale - 0.4822) < 2e-4);
  CHECK(std::abs(sums[2] * scale - 0.4465) < 2e-4);
}

}  // namespace
}  // namespace combiner

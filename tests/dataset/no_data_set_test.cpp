#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include "catch.h"
#include "combiner/dataset.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

const std::string kPickle =
    "\x80\x02}q\1(U\x0b"
    "batch_labelq\2U\x15training batch 1 of 5"s;
const std::string kGzip = "\x1f\x8b\x08\0\0\0\0\0\2"s;
const std::string kMatlab = "MATLAB 5.0 MAT-file, Platform: GLNXA64"s + std::string(90, '\0');
const std::string kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";

std::string error(const fs::path& path) {
  return error_of([&] {
    std::vector<uint8_t> pixels(size_t{3} * 32 * 32);
    open_dataset(path, {.width = 32, .height = 32})->read(0, pixels);
  });
}

TEST_CASE("no data set: CIFAR-10 in another version or packed names the download that works") {
  const TempFolder folder;
  const struct {
    std::string name, contents, kind;
  } files[] = {
      {"cifar-10-python.tar.gz", kGzip, "compressed with gzip"},
      {"cifar-10-binary.tar.gz", kGzip, "compressed with gzip"},
      {"CIFAR.tar", "x" + std::string(256, '\0') + "ustar" + std::string(20, '\0'),
       "a tar archive"},
      {"data_batch_1", kPickle, "a batch of CIFAR-10's Python version, a pickle"},
      {"data_batch_1.mat", kMatlab, "a MATLAB file"},
      {"data_batch_1.bin.gz", kGzip, "compressed with gzip"},
      {"test_batch.gz", kGzip, "compressed with gzip"},
      {"data_batch_2.bin", kGzip, "compressed with gzip"},
      {"data_batch_3.bin", kPickle, "a batch of CIFAR-10's Python version, a pickle"},
      {"data_batch_4.bin", kPointer, "a Git LFS pointer"},
      {"data_batch_5.bin", "<!DOCTYPE html>", "an HTML page"},
  };
  for (const auto& file : files) {
    INFO(file.name);
    write_text(folder / file.name, file.contents);
    const std::string message = error(folder / file.name);
    CHECK(message.starts_with((folder / file.name).string() + ": is"));
    CHECK_THAT(message, contains("it is " + file.kind) && contains("cifar-10-binary.tar.gz"));
    CHECK_THAT(message, contains("https://www.cs.toronto.edu/~kriz/cifar.html"));
  }
}

TEST_CASE("no data set: a model's files are told, whatever their names") {
  const TempFolder folder;
  write_text(folder / "cifar10.safetensors", "\x40\0\0\0\0\0\0\0{\"a\":{}}"s);
  write_text(folder / "cifar10.json", "{\"format\": \"combiner-1\"}");
  CHECK_THAT(error(folder / "cifar10.safetensors"),
             contains("it is a safetensors file; weights are named with --model") &&
                 !contains("https://"));
  CHECK_THAT(error(folder / "cifar10.json"),
             contains("it is a model's config, not its weights; weights are named with --model, "
                      "configs with --config") &&
                 !contains("https://"));
}

TEST_CASE("no data set: a folder with such files, or around the data set, is explained") {
  const TempFolder folder;
  const fs::path python = folder / "up/cifar-10-batches-py";
  fs::create_directories(python);
  write_text(python / "data_batch_1", kPickle);
  for (const fs::path& path : {python, python.parent_path()})
    CHECK_THAT(error(path), contains((python / "data_batch_1").string() + " is a batch of CIFAR") &&
                                contains("cifar-10-binary.tar.gz"));
  const fs::path binary = folder / "around/cifar-10-batches-bin";
  fs::create_directories(binary);
  write_text(binary / "test_batch.bin", std::string(3073, '\0'));
  CHECK_THAT(error(binary.parent_path()), contains(binary.string() + " is one, so name that"));
}

TEST_CASE("no data set: files named .npz or like pictures are told by their contents") {
  const TempFolder folder;
  for (const char* const name : {"a.npz", "a.png"}) {
    write_text(folder / name, kPointer);
    CHECK_THAT(error(folder / name),
               contains(name + ": is not a "s) && contains("; it is a Git LFS pointer, not the file"));
  }
  write_text(folder / "notes.txt", "Some text");
  CHECK_THAT(error(folder / "notes.txt"),
             contains("it is text that begins with \"Some text\"; expected CIFAR-10"));
}

}  // namespace
}  // namespace combiner

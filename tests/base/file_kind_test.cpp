#include "base/file_kind.h"

#include <span>
#include <string>

#include "catch.h"
#include "data_folders.h"
#include "file_text.h"

namespace combiner {
namespace {

using namespace std::string_literals;

std::string kind(const std::string& contents) {
  return file_kind(std::as_bytes(std::span(contents)));
}

TEST_CASE("file kind: what is mistaken for weights is named") {
  const struct {
    std::string contents, kind;
  } files[] = {
      {"", "empty"},
      {" \n\n", "empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"},
      {"<!DOCTYPE html>\n<html>", "an HTML page"},
      {"\xef\xbb\xbf\r\n <HTML lang=\"de\">\xc3\xa4", "an HTML page"},
      {"<?xml version=\"1.0\"?><Error>AccessDenied</Error>", "an XML page"},
      {R"({"metadata":{},"weight_map":{}})", "the index of weights that lie in several files"},
      {R"({"format": "combiner-1"})", "a model's config, not its weights"},
      {R"({"a": 1})", "JSON text"},
      {"Entry not found", "text that begins with \"Entry not found\""},
      {"PK\3\4\24\0\0\0archive/data.pkl"s, "a PyTorch file"},
      {"PK\3\4\24\0\0\0labels.npy"s, "a NumPy archive"},
      {"PK\3\4\24\0\0\0letter.txt"s, "a zip archive"},
      {"\x80\2\x8a\nl\xfc\x9c\x46\xf9", "a Python pickle"},
      {"\x80\2}q\1(U\x0b"
       "batch_labelq\2"s,
       "a batch of CIFAR-10's Python version, a pickle"},
      {"MATLAB 5.0 MAT-file, Platform", "a MATLAB file"},
      {"GGUF\3\0\0\0"s, "a GGUF file"},
      {"\x08\x07\x12\x07pytorch"s, "an ONNX model"},
      {"\x1f\x8b\x08\0\0\0\0\0\2"s, "compressed with gzip"},
      {"\xfd\x37zXZ\0"s, "a compressed file"},
      {"name" + std::string(253, '\0') + "ustar", "a tar archive"},
      {std::string(5000, '\0'), "nothing but zeros"},
      {"\x89PNG\r\n\x1a\n", "a PNG picture"},
      {"\x20\0\0\0\0\0\0\0{\"a\":"s, "a safetensors file"},
  };
  for (const auto& file : files) {
    INFO(file.contents.substr(0, 40));
    CHECK(kind(file.contents).starts_with(file.kind));
  }
  CHECK(kind(read_text(golden_folder() / "../flax/axial_rowmajor.msgpack"))
            .starts_with("a checkpoint of Flax"));
}

TEST_CASE("file kind: what is not known has no name") {
  CHECK(kind("\1\2\3\4\5").empty());
  CHECK(kind(std::string(20, '\xff')).empty());
  CHECK(kind(std::string(8, '\0')).empty());
}

}  // namespace
}  // namespace combiner

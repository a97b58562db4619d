#include "codec/coded_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "catch.h"
#include "codec/crc32c.h"
#include "codec/numbers.h"
#include "error_of.h"
#include "random.h"

namespace combiner {
namespace {

using Bytes = std::vector<uint8_t>;

const CodedHeader kHeader = {"tiny.safetensors", std::string(64, 'a'), Precision::f32, "FMA", 4, 3};

// Pictures and their streams, which are random bytes.
struct Contents {
  std::vector<CodedPicture> pictures;
  std::vector<Bytes> streams;
};

Contents some_contents(int count, bool names, bool labels, bool sizes) {
  Random random(1);
  Contents contents;
  for (int i = 0; i < count; ++i) {
    CodedPicture picture{4, 3, {}, {}};
    if (names) picture.name = fmt::format("class {}/{}.png", i % 3, i);
    if (labels) picture.label = i * 100;
    if (sizes) picture.width += i % 7;
    contents.pictures.push_back(picture);
    for (int64_t j = 0; j < streams_of(picture, kHeader); ++j)
      contents.streams.push_back(random.bytes(random.below(40)));
  }
  return contents;
}

Bytes file_of(const Contents& contents) {
  Bytes bytes;
  CodedFileWriter writer(kHeader, [&](std::span<const uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  });
  for (const Bytes& stream : contents.streams) writer.add(stream);
  writer.finish(contents.pictures);
  return bytes;
}

// Changes a bit of a stream, whose bytes must be found nowhere else.
void damage(Bytes& bytes, const Bytes& stream) {
  *std::search(bytes.begin(), bytes.end(), stream.begin(), stream.end()) ^= 1;
}

void check_pictures_of(const CodedFile& file, const Contents& contents) {
  REQUIRE(file.pictures().size() == contents.pictures.size());
  for (size_t i = 0; i < contents.pictures.size(); ++i) {
    CHECK(file.pictures()[i].name == contents.pictures[i].name);
    CHECK(file.pictures()[i].label == contents.pictures[i].label);
    CHECK(file.pictures()[i].width == contents.pictures[i].width);
    CHECK(file.pictures()[i].height == contents.pictures[i].height);
  }
}

TEST_CASE("Coded file: what was written is read, in any order") {
  for (const int count : {0, 1, 16, 17, 50})
    for (int kind = 0; kind < 8; ++kind) {
      const Contents contents = some_contents(count, kind & 1, kind & 2, kind & 4);
      const Bytes bytes = file_of(contents);
      CodedFile file(bytes, "x.cmb");
      CHECK(file.header().model == kHeader.model);
      CHECK(file.header().sha256 == kHeader.sha256);
      CHECK(file.header().kernels == kHeader.kernels);
      CHECK(file.header().width == 4);
      check_pictures_of(file, contents);
      REQUIRE(file.streams() == std::ssize(contents.streams));
      for (int64_t i = file.streams() - 1; i >= 0; --i) {
        const auto stream = file.stream(i);
        REQUIRE(stream);
        CHECK(std::ranges::equal(*stream, contents.streams[static_cast<size_t>(i)]));
      }
    }
}

TEST_CASE("Coded file: an image costs few bytes besides its stream") {
  const Contents contents = some_contents(1600, false, false, false);
  size_t streams = 0;
  for (const Bytes& stream : contents.streams) streams += stream.size();
  CHECK(file_of(contents).size() - streams < 4 * 1600 + 300);
}

// Whatever happens to a file: an Error, a stream that is said to be damaged, or the right one.
void check_damaged(const Bytes& damaged, const Contents& contents) {
  try {
    CodedFile file(damaged, "x.cmb");
    check_pictures_of(file, contents);
    for (int64_t i = 0; i < file.streams(); ++i)
      if (const auto stream = file.stream(i))
        CHECK(std::ranges::equal(*stream, contents.streams[static_cast<size_t>(i)]));
  } catch (const Error& error) {
    CHECK_THAT(error.what(), contains("x.cmb: "));
  }
}

TEST_CASE("Coded file: every truncation is an Error, and bytes that follow too") {
  const Bytes bytes = file_of(some_contents(20, true, true, true));
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(CodedFile(std::span(bytes).first(size), "x.cmb"), Error);
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK_THAT(error_of([&] { CodedFile(longer, "x.cmb"); }), contains("something was added to it"));
}

TEST_CASE("Coded file: random damages are found") {
  const Contents contents = some_contents(40, true, true, true);
  const Bytes bytes = file_of(contents);
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    Bytes damaged = bytes;
    for (size_t j = 1 + random.below(3); j > 0; --j)
      damaged[random.below(damaged.size())] ^= static_cast<uint8_t>(1 + random.below(255));
    check_damaged(damaged, contents);
  }
}

TEST_CASE("Coded file: a damaged group costs its streams only") {
  Contents contents = some_contents(40, false, false, false);
  const Bytes victim = contents.streams[20] = Random(9).bytes(30);
  Bytes bytes = file_of(contents);
  damage(bytes, victim);
  CodedFile file(bytes, "x.cmb");
  for (int64_t i = 0; i < 40; ++i) CHECK(file.stream(i).has_value() == (i / kStreamsInGroup != 1));
}

TEST_CASE("Coded file: a picture is whole only with all groups of its streams") {
  constexpr size_t kSmall = kStreamsInGroup - 1;
  Contents contents = some_contents(kSmall, false, false, false);
  // Its first stream ends a group, and the other two begin the next.
  contents.pictures.push_back({3 * kHeader.width, kHeader.height, {}, {}});
  Random random(9);
  for (int i = 0; i < 3; ++i) contents.streams.push_back(random.bytes(30));
  Bytes bytes = file_of(contents);
  CHECK(CodedFile(bytes, "x.cmb").is_whole(kSmall));
  damage(bytes, contents.streams.back());
  CodedFile file(bytes, "x.cmb");
  REQUIRE(file.streams() == std::ssize(contents.streams));
  for (size_t i = 0; i < kSmall; ++i) CHECK(file.is_whole(i));
  CHECK_FALSE(file.is_whole(kSmall));
}

TEST_CASE("Coded file: what is no such file") {
  CHECK_THAT(error_of([] { CodedFile({}, "x.cmb"); }),
             contains("x.cmb: is not a file of combiner compress; it is empty"));
  const Bytes text = {'t', 'e', 'x', 't'};
  CHECK_THAT(error_of([&] { CodedFile(text, "x.cmb"); }),
             contains("x.cmb: is not a file of combiner compress; it is text"));
}

TEST_CASE("Coded file: more pictures than are wanted") {
  const Bytes bytes = file_of(some_contents(17, false, false, false));
  CHECK(CodedFile(bytes, "x.cmb", 17).pictures().size() == 17);
  CHECK_THAT(error_of([&] { CodedFile(bytes, "x.cmb", 16); }),
             contains("x.cmb: holds 17 pictures; expected at most 16"));
}

// Replaces the JSON of a file's header, with the right checksum.
Bytes with_header(const Bytes& bytes, const std::string& from, const std::string& to) {
  ByteReader reader(bytes);
  const auto magic = reader.take(8);
  const std::span<const uint8_t> json = reader.take(reader.number<uint32_t>());
  reader.number<uint32_t>();
  std::string text(json.begin(), json.end());
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  Bytes changed(magic.begin(), magic.end());
  append(changed, static_cast<uint32_t>(text.size()));
  changed.insert(changed.end(), text.begin(), text.end());
  append(changed, crc32c(changed));
  changed.insert(changed.end(), reader.rest().begin(), reader.rest().end());
  return changed;
}

TEST_CASE("Coded file: headers of other programs") {
  const Bytes bytes = file_of(some_contents(3, false, false, false));
  const auto error = [&](const char* from, const char* to) {
    return error_of([&] { CodedFile(with_header(bytes, from, to), "x.cmb"); });
  };
  CHECK_THAT(error("\"version\":1", "\"version\":2"),
             contains("version 2 of the format; this program"));
  CHECK_THAT(error("f32", "f64"), contains("a precision that this program doesn't know"));
  CHECK_THAT(error("\"width\":4", "\"width\":0"), contains("image size makes no sense"));
  CHECK_THAT(error("\"width\":4", "\"width\":4294967300"), contains("image size makes no sense"));
  CHECK_THAT(error("\"width\":4", "\"width\":\"4\""), contains("is not as it should be"));
  CHECK_THAT(error("\"kernels\"", "\"others\""), contains("is not as it should be"));
  CHECK_THAT(error("{", "["), contains("header"));
}

TEST_CASE("Coded file: names stay inside the folder") {
  for (const char* name : {"a", "a/b.png", "..a", "a b/ä.png"}) CHECK(fault_of_name(name).empty());
  for (const char* name :
       {"", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "./a", "a\nb", "\x7f", "a\xC2\x9B"})
    CHECK_FALSE(fault_of_name(name).empty());
  CHECK(fault_of_name(std::string(4096, 'n')).empty());
  CHECK_THAT(fault_of_name(std::string(4097, 'n')),
             contains("nn...' has 4097 bytes; expected at most 4096"));
  Contents contents = some_contents(3, true, true, false);
  contents.pictures[2].name = contents.pictures[0].name;
  CHECK_THAT(error_of([&] { file_of(contents); }),
             contains("two pictures are called class 0/0.png"));
  contents.pictures[2].name = "../x";
  CHECK_THAT(error_of([&] { file_of(contents); }), contains("'../x' is not a name"));
  contents.pictures[2].name.clear();
  CHECK_THAT(error_of([&] { file_of(contents); }), contains("2 of 3 pictures have a name"));
  contents.pictures[2].name = "x";
  contents.pictures[1].label.reset();
  CHECK_THAT(error_of([&] { file_of(contents); }), contains("2 of 3 pictures have a label"));
}

}  // namespace
}  // namespace combiner

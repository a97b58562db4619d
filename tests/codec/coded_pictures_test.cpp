#include "codec/coded_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "catch.h"
#include "codec/crc32c.h"
#include "codec/numbers.h"
#include "error_of.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 3, kHeight = 2;

Model some_model(int width = kWidth, int height = kHeight) {
  Random random(1);
  return model_of(
      random_weights(small_config(Tokens::pixel, Attention::axial, height, width), random));
}

// Pictures and the file that they were packed to.
class Packed {
 public:
  // A third of the pictures have several tiles.
  explicit Packed(int count) {
    Random random(2);
    for (int i = 0; i < count; ++i) {
      const int width = i % 3 == 1 ? kWidth + 4 : kWidth;
      images_.push_back({width, kHeight, random.bytes(size_t{3} * width * kHeight)});
      pictures_.push_back({width, kHeight, fmt::format("{}/{}.png", i % 2, i), i % 10});
    }
    CodedFileWriter writer(
        {"tiny", "0", Precision::f32, "FMA", kWidth, kHeight},
        [this](std::span<const uint8_t> part) { parts_.emplace_back(part.begin(), part.end()); });
    REQUIRE(encode_pictures(
        images_.size(), [this](size_t picture) { return images_[picture]; }, coder_,
        [&](std::vector<uint8_t> stream) { writer.add(std::move(stream)); }));
    writer.finish(pictures_);
  }

  size_t pictures() const { return pictures_.size(); }
  // Header, groups, tables and footer; all but the tables end in a checksum.
  const std::vector<Bytes>& parts() const { return parts_; }
  Bytes bytes() const { return joined(parts_); }

  static Bytes joined(const std::vector<Bytes>& parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  // Unpacks what may be damaged. Returns for each picture whether it has come back; none if the
  // file is refused. Fails if something else than a picture or an Error comes out.
  std::vector<bool> unpack(std::span<const uint8_t> bytes) {
    try {
      CodedFile file(bytes, "x.cmb");
      REQUIRE(file.pictures().size() == pictures());
      std::vector<int> seen(pictures());
      std::vector<bool> whole(pictures());
      const auto done = [&](size_t index, const Image& picture) {
        ++seen[index];
        if (picture.pixels.empty()) return;
        REQUIRE(picture == images_[index]);
        whole[index] = true;
      };
      REQUIRE(decode_pictures(file, all(), coder_, done));
      CHECK(std::ranges::count(seen, 1) == std::ssize(seen));
      for (size_t i = 0; i < pictures(); ++i) {
        CHECK(file.pictures()[i].name == pictures_[i].name);
        CHECK(file.pictures()[i].label == pictures_[i].label);
      }
      return whole;
    } catch (const Error& error) {
      CHECK_THAT(error.what(), contains("x.cmb: "));
      return {};
    }
  }

  // Unpacks what another program might have written. Fails if something else than a picture of the
  // size that the file says or an Error comes out. Returns the number of pictures.
  int try_to_unpack(std::span<const uint8_t> bytes) {
    int whole = 0;
    try {
      CodedFile file(bytes, "x.cmb");
      std::vector<size_t> indices(file.pictures().size());
      std::iota(indices.begin(), indices.end(), size_t{0});
      decode_pictures(file, indices, coder_, [&](size_t index, const Image& picture) {
        if (picture.pixels.empty()) return;
        const CodedPicture& expected = file.pictures()[index];
        CHECK(picture.width == expected.width);
        CHECK(picture.height == expected.height);
        ++whole;
      });
    } catch (const Error& error) {
      CHECK_THAT(error.what(), contains("x.cmb: "));
    }
    return whole;
  }

 private:
  std::vector<size_t> all() const {
    std::vector<size_t> indices(pictures());
    std::iota(indices.begin(), indices.end(), size_t{0});
    return indices;
  }

  Model model_ = some_model();
  ImageCoder coder_{model_, {}};
  std::vector<Image> images_;
  std::vector<CodedPicture> pictures_;
  std::vector<Bytes> parts_;
};

// Changes, removes or adds bytes at random places; `bytes` must not be empty.
void damage(Bytes& bytes, Random& random) {
  const size_t at = random.below(bytes.size());
  const size_t size = 1 + random.below(std::min<size_t>(bytes.size() - at, 8));
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  const auto end = begin + static_cast<std::ptrdiff_t>(size);
  switch (random.below(6)) {
    case 0:
      bytes.erase(begin, end);
      break;
    case 1: {
      const Bytes more = random.bytes(size);
      bytes.insert(begin, more.begin(), more.end());
      break;
    }
    case 2:
      std::fill(begin, end, uint8_t{0});
      break;
    case 3:
      std::fill(begin, end, uint8_t{0xFF});
      break;
    default:
      for (size_t i = 1 + random.below(3); i > 0; --i)
        bytes[random.below(bytes.size())] ^= static_cast<uint8_t>(1 << random.below(8));
  }
}

void put_checksum(Bytes& part, std::span<const uint8_t> of, size_t at) {
  Bytes sum;
  append(sum, crc32c(of));
  std::ranges::copy(sum, part.begin() + static_cast<std::ptrdiff_t>(at));
}

// Damages a part of the file and makes its checksum, and the tables' size, fit again.
Bytes forged(std::vector<Bytes> parts, Random& random) {
  const size_t tables = parts.size() - 2;
  const size_t index = random.below(tables + 1);
  Bytes& part = parts[index];
  damage(part, random);
  if (index == tables) {
    Bytes size;
    append(size, uint64_t{part.size()});
    std::ranges::copy(size, parts.back().begin());
    put_checksum(parts.back(), part, size.size());
  } else if (part.size() >= sizeof(uint32_t)) {
    const size_t checked = part.size() - sizeof(uint32_t);
    put_checksum(part, std::span(part).first(checked), checked);
  }
  return Packed::joined(parts);
}

struct Outcomes {
  int refused = 0, in_part = 0, whole = 0;
};

// Each damage must give an Error, or right pictures and no others.
Outcomes damage_often(Packed& packed, int times, uint64_t seed) {
  Random random(seed);
  const Bytes bytes = packed.bytes();
  Outcomes outcomes;
  for (int i = 0; i < times; ++i) {
    Bytes damaged = bytes;
    damage(damaged, random);
    const std::vector<bool> whole = packed.unpack(damaged);
    const auto count = std::ranges::count(whole, true);
    if (whole.empty())
      ++outcomes.refused;
    else if (count < std::ssize(whole))
      ++outcomes.in_part;
    else
      ++outcomes.whole;  // some damages change nothing
  }
  return outcomes;
}

int forge_often(Packed& packed, int times, uint64_t seed) {
  Random random(seed);
  int whole = 0;
  for (int i = 0; i < times; ++i) whole += packed.try_to_unpack(forged(packed.parts(), random));
  return whole;
}

void truncate_at_every_length(Packed& packed) {
  const Bytes bytes = packed.bytes();
  for (size_t size = 0; size < bytes.size(); ++size)
    REQUIRE(packed.unpack(std::span(bytes).first(size)).empty());
}

TEST_CASE("Coded pictures: they come back, whole and in order") {
  Packed packed(14);
  CHECK(packed.parts().size() == 3 + 2);  // 24 tiles are two groups
  CHECK(packed.unpack(packed.bytes()) == std::vector<bool>(14, true));
  truncate_at_every_length(packed);
}

TEST_CASE("Coded pictures: a damaged group costs the pictures that have a tile in it") {
  Packed packed(14);
  std::vector<Bytes> parts = packed.parts();
  parts[1][40] ^= 1;
  // Of each three pictures the second has three tiles: pictures 0 to 8 have 15, and 9 the last.
  std::vector<bool> expected(14);
  std::fill(expected.begin() + 10, expected.end(), true);
  CHECK(packed.unpack(Packed::joined(parts)) == expected);
}

TEST_CASE("Coded pictures: what is damaged gives an error or right pixels") {
  Packed packed(14);
  const Outcomes outcomes = damage_often(packed, 300, 3);
  CHECK(outcomes.refused > 50);
  CHECK(outcomes.in_part > 50);
  CHECK(forge_often(packed, 200, 4) > 0);
}

TEST_CASE("Coded pictures: 10,000 damages", "[.all]") {
  Packed packed(14);
  const Outcomes outcomes = damage_often(packed, 10'000, 5);
  fmt::print("refused {}, some pictures lost {}, nothing lost {}; {} pictures of forged files\n",
             outcomes.refused, outcomes.in_part, outcomes.whole, forge_often(packed, 10'000, 6));
}

TEST_CASE("Coded pictures: more tiles than are coded at once") {
  const Model model = some_model();
  ImageCoder coder(model, {});
  Random random(7);
  const Image large = {200, 130, random.bytes(size_t{3} * 200 * 130)};
  Bytes bytes;
  CodedFileWriter writer(
      {"tiny", "0", Precision::f32, "FMA", kWidth, kHeight},
      [&](std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); });
  REQUIRE(encode_pictures(
      1, [&](size_t) { return large; }, coder,
      [&](std::vector<uint8_t> stream) { writer.add(std::move(stream)); }));
  writer.finish(std::vector<CodedPicture>{{large.width, large.height, {}, {}}});
  CodedFile file(bytes, "x.cmb");
  CHECK(file.streams() == 67 * 65);
  Image found;
  const auto done = [&](size_t, const Image& picture) { found = picture; };
  const std::vector<size_t> first = {0};
  REQUIRE(decode_pictures(file, first, coder, done));
  CHECK(found == large);

  const CodingEvents stop = {.cancel = Cancel([] { return true; })};
  CHECK_FALSE(decode_pictures(file, first, coder, done, stop));
  const Model other = some_model(4, 2);
  ImageCoder other_coder(other, {});
  CHECK_THAT(error_of([&] { decode_pictures(file, first, other_coder, done); }),
             contains("x.cmb: has streams of 3x2 pixels; the model's images have 4x2"));
}

}  // namespace
}  // namespace combiner

// Packed pictures: whole files, or only a group and the tables, which no checksum protects here.
#include <algorithm>
#include <numeric>
#include <vector>

#include "codec/coded_pictures.h"
#include "codec/crc32c.h"
#include "codec/numbers.h"
#include "fuzz/fuzz.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kWidth = 2, kHeight = 2;
constexpr uint8_t kFileBegin = 0x89;

Model some_model() {
  Random random(1);
  return model_of(
      random_weights(small_config(Tokens::pixel, Attention::axial, kHeight, kWidth), random));
}

// The bytes of the group, as many as the first byte says, then those of the tables.
Bytes file_around(std::span<const uint8_t> data) {
  Bytes file;
  // Without pictures, only for its header.
  CodedFileWriter({"tiny", "0", Precision::f32, "FMA", kWidth, kHeight},
                  [&](std::span<const uint8_t> part) {
                    if (file.empty()) file.assign(part.begin(), part.end());
                  })
      .finish({});
  const size_t size = data.empty() ? 0 : std::min<size_t>(data[0], data.size() - 1);
  const auto group = data.subspan(data.empty() ? 0 : 1, size);
  const auto tables = data.subspan(data.empty() ? 0 : 1 + size);
  for (const auto part : {group, tables}) file.insert(file.end(), part.begin(), part.end());
  if (!group.empty()) {
    Bytes sum;
    append(sum, crc32c(group));
    file.insert(file.end() - std::ssize(tables), sum.begin(), sum.end());
  }
  append(file, uint64_t{tables.size()});
  append(file, crc32c(tables));
  for (const char byte : {'C', 'M', 'B', '\n'}) file.push_back(static_cast<uint8_t>(byte));
  return file;
}

void decode_all(std::span<const uint8_t> bytes) {
  static const Model model = some_model();
  static ImageCoder coder(model, {});
  CodedFile file(bytes, "file");
  constexpr int64_t kMostStreams = 40;  // more would take long
  if (file.streams() > kMostStreams) return;
  std::vector<size_t> all(file.pictures().size());
  std::iota(all.begin(), all.end(), size_t{0});
  std::vector<int> seen(all.size());
  decode_pictures(file, all, coder, [&](size_t index, const Image& picture) {
    ++seen[index];
    const CodedPicture& expected = file.pictures()[index];
    if (!picture.pixels.empty())
      require(picture.width == expected.width && picture.height == expected.height,
              "a picture must have the size that the file says");
  });
  require(std::ranges::all_of(seen, [](int times) { return times == 1; }),
          "each picture must come once");
}

}  // namespace
}  // namespace combiner

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  const std::span<const uint8_t> bytes(data, size);
  return run_fuzz([&] {
    if (size > 0 && data[0] == kFileBegin) return decode_all(bytes);
    decode_all(file_around(bytes));
  });
}

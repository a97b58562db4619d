#include "codec/coded_pictures.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "image/tiles.h"

namespace combiner {
namespace {

// Images are coded so many at a time: enough to keep all threads busy, and few enough for any
// memory.
constexpr size_t kAtATime = 4096;

// Stands for a damaged stream: decodes to no image.
constexpr std::span<const uint8_t> kNoStream;

// Puts pictures together from their tiles, which come one after another.
class Assembly {
 public:
  Assembly(const CodedFile& file, std::vector<size_t> pictures,
           const std::function<void(size_t, const Image&)>& done)
      : file_(file), pictures_(std::move(pictures)), done_(done) {}

  // Takes the next tile; one without pixels if it is damaged.
  void add(const Image& tile) {
    const size_t index = pictures_[at_];
    const CodedPicture& picture = file_.pictures()[index];
    if (tiles_ == 0) {
      image_ = {picture.width, picture.height,
                std::vector<uint8_t>(size_t{3} * picture.width * picture.height)};
      damaged_ = false;
    }
    if (tile.pixels.empty())
      damaged_ = true;
    else
      place_tile(tile, tiles_, image_);
    if (++tiles_ < streams_of(picture, file_.header())) return;
    tiles_ = 0;
    ++at_;
    done_(index, damaged_ ? Image{} : image_);
  }

 private:
  const CodedFile& file_;
  const std::vector<size_t> pictures_;
  const std::function<void(size_t, const Image&)>& done_;
  size_t at_ = 0;
  Image image_;
  int64_t tiles_ = 0;  // that image_ has
  bool damaged_ = false;
};

}  // namespace

CodedHeader header_for(const Model& model, std::string name, std::string sha256) {
  const ImageShape& shape = model.config().image;
  return {std::move(name), std::move(sha256), model.precision(), kernels_in_use(model.precision()),
          shape.width,     shape.height};
}

bool encode_pictures(size_t count, const std::function<Image(size_t picture)>& read,
                     ImageCoder& coder, const std::function<void(std::vector<uint8_t>)>& write,
                     const CodingEvents& events) {
  const TileSize size = coder.image_size();
  std::vector<Image> tiles;
  const auto encode = [&] {
    std::vector<std::vector<uint8_t>> streams = coder.encode(tiles, events);
    const bool finished = streams.size() == tiles.size();
    for (std::vector<uint8_t>& stream : streams) write(std::move(stream));
    tiles.clear();
    return finished;
  };
  for (size_t i = 0; i < count; ++i) {
    const Image picture = read(i);
    const int64_t tiles_in_all = tiles_of(picture.width, picture.height, size);
    for (int64_t tile = 0; tile < tiles_in_all; ++tile) {
      tiles.push_back(cut_tile(picture, size, tile));
      if (tiles.size() == kAtATime && !encode()) return false;
    }
  }
  return encode();
}

bool decode_pictures(CodedFile& file, std::span<const size_t> pictures, ImageCoder& coder,
                     const std::function<void(size_t picture, const Image&)>& done,
                     const CodingEvents& events) {
  const CodedHeader& header = file.header();
  const TileSize size = coder.image_size();
  if (size.width != header.width || size.height != header.height)
    throw Error(fmt::format("{}: has streams of {}x{} pixels; the model's images have {}x{}",
                            file.source(), header.width, header.height, size.width, size.height));
  Assembly assembly(file, {pictures.begin(), pictures.end()}, done);
  std::vector<std::span<const uint8_t>> streams;
  const auto decode = [&] {
    const std::vector<Image> tiles = coder.decode(streams, events);
    const bool finished = tiles.size() == streams.size();
    for (const Image& tile : tiles) assembly.add(tile);
    streams.clear();
    return finished;
  };
  for (const size_t picture : pictures) {
    const int64_t first = file.first_stream(picture);
    const int64_t end = first + streams_of(file.pictures()[picture], header);
    for (int64_t i = first; i < end; ++i) {
      streams.push_back(file.stream(i).value_or(kNoStream));
      if (streams.size() == kAtATime && !decode()) return false;
    }
  }
  return decode();
}

}  // namespace combiner

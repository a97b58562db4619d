#include "image/png.h"

#include <fmt/format.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>

#include "base/read_file.h"
#include "combiner/error.h"
#include "image/check_size.h"
#include "image/picture_format.h"

namespace combiner {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr png_alloc_size_t kMaxTextBytes = png_alloc_size_t{1} << 20;  // of one chunk

// libpng reports an error with longjmp, which must not skip destructors. So everything that has one
// belongs to the caller of guarded(), and what runs inside it only calls libpng.
struct Problem {
  std::array<char, 200> text = {};
  static void report(png_structp png, png_const_charp message) {
    std::array<char, 200>& text = static_cast<Problem*>(png_get_error_ptr(png))->text;
    std::strncpy(text.data(), message, text.size() - 1);
    png_longjmp(png, 1);
  }
  static void ignore(png_structp, png_const_charp) {}
};

// Returns false if libpng reported an error.
bool guarded(png_structp png, const std::function<void()>& calls) {
  if (setjmp(png_jmpbuf(png))) return false;
  calls();
  return true;
}

struct PngWriter {
  Problem problem;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &problem, Problem::report, Problem::ignore);
  png_infop info = png ? png_create_info_struct(png) : nullptr;

  PngWriter() = default;
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

struct PngReader {
  Problem problem;
  png_structp png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &problem, Problem::report, Problem::ignore);
  png_infop info = png ? png_create_info_struct(png) : nullptr;

  PngReader() = default;
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void append(png_structp png, png_bytep data, size_t size) {
  auto& bytes = *static_cast<std::vector<std::byte>*>(png_get_io_ptr(png));
  const auto* first = reinterpret_cast<const std::byte*>(data);
  bool appended = true;
  try {
    bytes.insert(bytes.end(), first, first + size);
  } catch (...) {  // an exception must not pass through libpng, nor its longjmp leave a handler
    appended = false;
  }
  if (!appended) png_error(png, "out of memory");
}

void take(png_structp png, png_bytep data, size_t size) {
  auto& rest = *static_cast<std::span<const uint8_t>*>(png_get_io_ptr(png));
  if (size > rest.size()) png_error(png, "truncated");
  std::memcpy(data, rest.data(), size);
  rest = rest.subspan(size);
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image, std::span<const PngText> texts) {
  const int64_t bytes = int64_t{3} * image.width * image.height;
  if (image.width <= 0 || image.height <= 0 || bytes != static_cast<int64_t>(image.pixels.size()))
    throw std::invalid_argument("encode_png: the number of pixels doesn't fit the image's size");
  if (!size_fits(image.width, image.height))
    throw Error(fmt::format("can't make a PNG of {}x{} pixels; expected at most {} in all",
                            image.width, image.height, kMaxImageBytes / 3));
  std::vector<png_text> chunks;
  for (const PngText& text : texts) {
    png_text chunk = {};
    chunk.compression = PNG_TEXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(text.keyword.c_str());
    chunk.text = const_cast<char*>(text.text.c_str());
    chunk.text_length = text.text.size();
    chunks.push_back(chunk);
  }
  std::vector<std::byte> out;
  PngWriter writer;
  if (!writer.info) throw std::bad_alloc();
  const auto width = static_cast<png_uint_32>(image.width);
  const auto height = static_cast<png_uint_32>(image.height);
  const bool written = guarded(writer.png, [&] {
    png_set_write_fn(writer.png, &out, append, nullptr);
    png_set_user_limits(writer.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    // Photographs repeat single bytes at most, and magnified ones whole rows, which the filter
    // turns into zeros. Looking for longer repetitions takes two to three times as long and makes
    // files that are no smaller.
    png_set_filter(writer.png, PNG_FILTER_TYPE_BASE, PNG_FILTER_PAETH);
    png_set_compression_strategy(writer.png, Z_RLE);
    png_set_IHDR(writer.png, writer.info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_text(writer.png, writer.info, chunks.data(), static_cast<int>(chunks.size()));
    png_write_info(writer.png, writer.info);
    for (png_uint_32 row = 0; row < height; ++row)
      png_write_row(writer.png, &image.pixels[size_t{3} * width * row]);
    png_write_end(writer.png, nullptr);
  });
  if (!written)
    throw Error(fmt::format("can't make a PNG of {}x{} pixels: {}", image.width, image.height,
                            writer.problem.text.data()));
  return out;
}

bool is_png(const std::filesystem::path& path) {
  const std::vector<std::byte> start = read_start(path);
  return is_png({reinterpret_cast<const uint8_t*>(start.data()), start.size()});
}

std::vector<PngText> read_png_texts(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = read_file(path, kMaxFileBytes);
  if (!is_png(bytes)) throw Error(fmt::format("{}: is not a PNG file", path.string()));
  std::span<const uint8_t> rest = bytes;
  PngReader reader;
  if (!reader.info) throw std::bad_alloc();
  png_textp chunks = nullptr;
  int count = 0;
  const bool read = guarded(reader.png, [&] {
    png_set_read_fn(reader.png, &rest, take);
    png_set_user_limits(reader.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(reader.png, kMaxTextBytes);
    png_read_info(reader.png, reader.info);
    png_get_text(reader.png, reader.info, &chunks, &count);
  });
  if (!read)
    throw Error(
        fmt::format("{}: is a damaged PNG file: {}", path.string(), reader.problem.text.data()));
  std::vector<PngText> texts;
  for (int i = 0; i < count; ++i)
    texts.push_back({chunks[i].key,
                     std::string(chunks[i].text, chunks[i].compression < PNG_ITXT_COMPRESSION_NONE
                                                     ? chunks[i].text_length
                                                     : chunks[i].itxt_length)});
  return texts;
}

}  // namespace combiner

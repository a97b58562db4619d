// Picture files made byte by byte, so that their exact contents are known.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

using Bytes = std::vector<uint8_t>;

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

inline Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline Bytes big_endian(uint32_t value) {
  return {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
          static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

inline Bytes little_endian(uint32_t value, int size = 4) {
  Bytes bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return bytes;
}

inline void write_bytes(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("can't write " + path.string());
}

// A PNG chunk: length, kind, data, and the CRC-32 of kind and data.
inline Bytes png_chunk(std::string_view kind, const Bytes& data) {
  const Bytes checked = join({bytes_of(kind), data});
  uint32_t crc = 0xFFFFFFFF;
  for (const uint8_t byte : checked) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return join({big_endian(static_cast<uint32_t>(data.size())), checked, big_endian(~crc)});
}

// A zlib stream with one uncompressed block.
inline Bytes zlib_stored(const Bytes& data) {
  const auto size = static_cast<uint32_t>(data.size());
  uint32_t low = 1;
  uint32_t high = 0;
  for (const uint8_t byte : data) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return join({{0x78, 0x01, 0x01},
               little_endian(size, 2),
               little_endian(~size, 2),
               data,
               big_endian(high << 16 | low)});
}

enum PngColour : uint8_t {
  png_grey = 0,
  png_rgb = 2,
  png_palette = 3,
  png_grey_alpha = 4,
  png_rgba = 6
};

// `samples` holds the rows as PNG packs them; `extra` holds the chunks before the pixels (PLTE,
// tRNS).
inline Bytes png(int width, int height, int bits, PngColour colour, const Bytes& samples,
                 const Bytes& extra = {}) {
  const size_t row_bytes = samples.size() / static_cast<size_t>(height);
  Bytes filtered;
  for (size_t row = 0; row < static_cast<size_t>(height); ++row) {
    filtered.push_back(0);  // no filter
    filtered.insert(filtered.end(), &samples[row * row_bytes],
                    &samples[row * row_bytes] + row_bytes);
  }
  const Bytes header = join({big_endian(static_cast<uint32_t>(width)),
                             big_endian(static_cast<uint32_t>(height)),
                             {static_cast<uint8_t>(bits), colour, 0, 0, 0}});
  return join({{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'},
               png_chunk("IHDR", header),
               extra,
               png_chunk("IDAT", zlib_stored(filtered)),
               png_chunk("IEND", {})});
}

// A BMP. `rows` starts with the bottom row, each padded to 4 bytes; `palette` holds blue, green,
// red, 0.
inline Bytes bmp(int width, int height, int bits, const Bytes& rows, const Bytes& palette = {}) {
  const auto offset = static_cast<uint32_t>(54 + palette.size());
  return join(
      {bytes_of("BM"), little_endian(offset + static_cast<uint32_t>(rows.size())), little_endian(0),
       little_endian(offset), little_endian(40), little_endian(static_cast<uint32_t>(width)),
       little_endian(static_cast<uint32_t>(height)), little_endian(1, 2),
       little_endian(static_cast<uint32_t>(bits), 2), little_endian(0),
       little_endian(static_cast<uint32_t>(rows.size())), little_endian(2835), little_endian(2835),
       little_endian(static_cast<uint32_t>(palette.size() / 4)), little_endian(0), palette, rows});
}

// A TIFF with one strip, uncompressed by default: 8, 16 or 32 (floating-point) bits per sample and
// 3 samples per pixel.
inline Bytes rgb_tiff(int width, int height, int bits, const Bytes& samples,
                      uint8_t orientation = 1, uint32_t compression = 1,
                      bool has_signed_samples = false, uint32_t tile_side = 0) {
  const auto entry = [](uint32_t tag, uint32_t type, uint32_t count, uint32_t value) {
    return join({little_endian(tag, 2), little_endian(type, 2), little_endian(count),
                 little_endian(value)});
  };
  constexpr uint32_t kShort = 3;
  constexpr uint32_t kLong = 4;
  constexpr uint32_t kUnsigned = 1, kSigned = 2, kFloatingPoint = 3;
  const uint32_t sample_format = has_signed_samples ? kSigned
                                 : bits == 32       ? kFloatingPoint
                                                    : kUnsigned;
  const uint32_t kEntries = tile_side ? 13 : 11;
  const uint32_t kAfterDirectory = 8 + 2 + 12 * kEntries + 4;
  const uint32_t kPixels = kAfterDirectory + 6;
  const Bytes bits_of_sample = little_endian(static_cast<uint32_t>(bits), 2);
  return join({bytes_of("II"),
               little_endian(42, 2),
               little_endian(8),
               little_endian(kEntries, 2),
               entry(256, kLong, 1, static_cast<uint32_t>(width)),
               entry(257, kLong, 1, static_cast<uint32_t>(height)),
               entry(258, kShort, 3, kAfterDirectory),  // bits per sample
               entry(259, kShort, 1, compression),
               entry(262, kShort, 1, 2),       // RGB
               entry(273, kLong, 1, kPixels),  // the strip
               entry(274, kShort, 1, orientation),
               entry(277, kShort, 1, 3),                             // samples per pixel
               entry(278, kLong, 1, static_cast<uint32_t>(height)),  // rows per strip
               entry(279, kLong, 1, static_cast<uint32_t>(samples.size())),
               tile_side ? join({entry(322, kLong, 1, tile_side), entry(323, kLong, 1, tile_side)})
                         : Bytes(),
               entry(339, kShort, 1, sample_format),
               little_endian(0),
               bits_of_sample,
               bits_of_sample,
               bits_of_sample,
               samples});
}

// A JPEG of 16 x 8 pixels, with a left half of about (200, 120, 40) and a right half of about (20,
// 60, 200), encoded by OpenCV at quality 90.
inline Bytes small_jpeg() {
  return {
      // clang-format off
0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x10, 0x4A, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
0x00, 0x01, 0x00, 0x00, 0xFF, 0xDB, 0x00, 0x43, 0x00, 0x03, 0x02, 0x02, 0x03, 0x02, 0x02, 0x03,
0x03, 0x03, 0x03, 0x04, 0x03, 0x03, 0x04, 0x05, 0x08, 0x05, 0x05, 0x04, 0x04, 0x05, 0x0A, 0x07,
0x07, 0x06, 0x08, 0x0C, 0x0A, 0x0C, 0x0C, 0x0B, 0x0A, 0x0B, 0x0B, 0x0D, 0x0E, 0x12, 0x10, 0x0D,
0x0E, 0x11, 0x0E, 0x0B, 0x0B, 0x10, 0x16, 0x10, 0x11, 0x13, 0x14, 0x15, 0x15, 0x15, 0x0C, 0x0F,
0x17, 0x18, 0x16, 0x14, 0x18, 0x12, 0x14, 0x15, 0x14, 0xFF, 0xDB, 0x00, 0x43, 0x01, 0x03, 0x04,
0x04, 0x05, 0x04, 0x05, 0x09, 0x05, 0x05, 0x09, 0x14, 0x0D, 0x0B, 0x0D, 0x14, 0x14, 0x14, 0x14,
0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0xFF, 0xC0,
0x00, 0x11, 0x08, 0x00, 0x08, 0x00, 0x10, 0x03, 0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11,
0x01, 0xFF, 0xC4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x08, 0xFF, 0xC4, 0x00, 0x14, 0x10, 0x01, 0x00,
0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF,
0xC4, 0x00, 0x15, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
0x00, 0x00, 0x00, 0x00, 0x05, 0x06, 0xFF, 0xC4, 0x00, 0x1B, 0x11, 0x00, 0x02, 0x01, 0x05, 0x00,
0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x44, 0x45, 0x82,
0x83, 0xC2, 0xC3, 0xFF, 0xDA, 0x00, 0x0C, 0x03, 0x01, 0x00, 0x02, 0x11, 0x03, 0x11, 0x00, 0x3F,
0x00, 0xA6, 0xC8, 0x20, 0xA0, 0x44, 0xD4, 0xB0, 0xF5, 0x15, 0x63, 0xC4, 0xBF, 0x43, 0xFF, 0xD9,
      // clang-format on
  };
}

// EXIF data that gives the orientation and nothing else.
inline Bytes exif_block(uint8_t orientation) {
  return join({bytes_of(std::string_view("MM\0*\0\0\0\x08", 8)),
               {0, 1},                                                // one entry
               {0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0},  // orientation
               {0, 0, 0, 0}});
}

// The same JPEG with an EXIF segment that gives its orientation.
inline Bytes turned_jpeg(uint8_t orientation) {
  const Bytes jpeg = small_jpeg();
  const Bytes exif = join({bytes_of(std::string_view("Exif\0\0", 6)), exif_block(orientation)});
  const auto length = static_cast<uint8_t>(exif.size() + 2);
  return join({{jpeg.begin(), jpeg.begin() + 2},
               {0xFF, 0xE1, 0, length},
               exif,
               {jpeg.begin() + 2, jpeg.end()}});
}

// A lossless WebP of 3 x 2 pixels, (1, 2, 3) (40, 50, 60) (255, 0, 128) over (7, 8, 9) (0, 255, 1)
// (100, 99, 98), encoded by libwebp, with EXIF data.
inline Bytes turned_webp(uint8_t orientation) {
  const Bytes pixels = {
      // clang-format off
0x56, 0x50, 0x38, 0x4C, 0x40, 0x00, 0x00, 0x00, 0x2F, 0x02, 0x40, 0x00, 0x00, 0x2F, 0xA0, 0xA8,
0x8D, 0x14, 0x68, 0x2F, 0x10, 0xC3, 0x0F, 0xC1, 0x68, 0xC5, 0x86, 0x82, 0xB6, 0x51, 0xA0, 0x7B,
0xF1, 0x81, 0x0F, 0x9C, 0x62, 0x56, 0x51, 0x1B, 0x29, 0x70, 0x6E, 0x4F, 0x64, 0xF0, 0xC4, 0x00,
0xF3, 0x1F, 0x0F, 0x36, 0xA5, 0x67, 0xCC, 0xBE, 0xBD, 0x73, 0xBF, 0xA0, 0x20, 0x6D, 0x03, 0x16,
0x77, 0x4F, 0xD0, 0x22, 0xFA, 0x1F, 0x9F, 0x0B,
      // clang-format on
  };
  const Bytes exif = exif_block(orientation);
  const Bytes chunks = join({bytes_of("WEBPVP8X"),
                             little_endian(10),
                             {0x08, 0, 0, 0},     // has EXIF data
                             {2, 0, 0, 1, 0, 0},  // width and height, less 1
                             pixels,
                             bytes_of("EXIF"),
                             little_endian(static_cast<uint32_t>(exif.size())),
                             exif});
  return join({bytes_of("RIFF"), little_endian(static_cast<uint32_t>(chunks.size())), chunks});
}

}  // namespace combiner

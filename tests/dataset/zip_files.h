// Zip archives and NumPy arrays made byte by byte, so that their exact contents are known.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace combiner {

inline std::string little_endian_text(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

inline uint32_t crc32_of(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

struct ZipFile {
  std::string name, bytes;
};

// A zip archive of uncompressed members.
inline std::string stored_zip(const std::vector<ZipFile>& files) {
  std::string archive, directory;
  for (const ZipFile& file : files) {
    // Version, flags, method, time, date, checksum, sizes, lengths of the name and of the extra
    // field.
    const std::string facts = little_endian_text(20, 2) + std::string(8, '\0') +
                              little_endian_text(crc32_of(file.bytes), 4) +
                              little_endian_text(file.bytes.size(), 4) +
                              little_endian_text(file.bytes.size(), 4) +
                              little_endian_text(file.name.size(), 2) + std::string(2, '\0');
    directory += "PK\1\2" + little_endian_text(20, 2) + facts + std::string(10, '\0') +
                 little_endian_text(archive.size(), 4) + file.name;
    archive += "PK\3\4" + facts + file.name + file.bytes;
  }
  return archive + directory + "PK\5\6" + std::string(4, '\0') +
         little_endian_text(files.size(), 2) + little_endian_text(files.size(), 2) +
         little_endian_text(directory.size(), 4) + little_endian_text(archive.size(), 4) +
         std::string(2, '\0');
}

// A .npy file of the given format version with `header` as its header text.
inline std::string npy(const std::string& header, const std::string& numbers = {},
                       int version = 1) {
  return "\x93NUMPY" + little_endian_text(static_cast<uint64_t>(version), 1) + '\0' +
         little_endian_text(header.size(), version == 1 ? 2 : 4) + header + numbers;
}

}  // namespace combiner

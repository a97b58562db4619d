#include "cli/tar.h"

#include <string>

#include "catch.h"
#include "error_of.h"

namespace combiner {
namespace {

TEST_CASE("tar: names of up to 100 bytes, or 255 with a slash where it is needed") {
  const auto long_name = [](size_t prefix, size_t name) {
    return std::string(prefix, 'p') + '/' + std::string(name, 'n');
  };
  CHECK(fits_tar(std::string(100, 'n')));
  CHECK_FALSE(fits_tar(std::string(101, 'n')));
  CHECK(fits_tar(long_name(155, 100)));
  CHECK_FALSE(fits_tar(long_name(156, 100)));
  CHECK_FALSE(fits_tar(long_name(155, 101)));
  CHECK(fits_tar("a/" + long_name(100, 100)));
  CHECK_THAT(
      error_of([] { TarWriter([](std::span<const std::byte>) {}).add(std::string(101, 'n'), {}); }),
      contains("too long for a tar archive"));
}

TEST_CASE("tar: whole blocks, and a checksum as every tar expects") {
  std::string archive;
  TarWriter writer([&](std::span<const std::byte> bytes) {
    archive.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  const std::string text = "contents";
  writer.add("a/b.png", std::as_bytes(std::span(text)));
  writer.finish();
  CHECK(archive.size() == 4 * 512);
  CHECK(archive.substr(124, 12) == std::string("00000000010\0", 12));
  CHECK(archive.substr(257, 8) == std::string("ustar\0"
                                              "00",
                                              8));
  unsigned sum = 8 * ' ';
  for (size_t i = 0; i < 512; ++i)
    if (i < 148 || i >= 156) sum += static_cast<unsigned char>(archive[i]);
  CHECK(std::stoul(archive.substr(148, 6), nullptr, 8) == sum);
  CHECK(archive.substr(512, 8) == text);
}

}  // namespace
}  // namespace combiner

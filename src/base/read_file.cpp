#include "base/read_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

std::vector<uint8_t> read_file(const fs::path& path, uint64_t max_bytes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(fmt::format("{}: can't open the file: {}", path.string(), error.message()));
  }
  if (!fs::is_regular_file(status)) {
    throw Error(fmt::format("{}: is {}; expected a file", path.string(),
                            fs::is_directory(status) ? "a folder" : "a device, pipe or socket"));
  }
  const uint64_t size = fs::file_size(path, error);
  std::ifstream in(path, std::ios::binary);
  if (error || !in) {
    throw Error(fmt::format("{}: can't open the file: {}", path.string(),
                            std::generic_category().message(errno)));
  }
  if (size == 0) throw Error(fmt::format("{}: is empty", path.string()));
  if (size > max_bytes) {
    throw Error(fmt::format("{}: is too large: {} bytes; expected at most {}", path.string(), size,
                            max_bytes));
  }

  std::vector<uint8_t> bytes(size);
  if (!in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size))) {
    throw Error(fmt::format("{}: can't read the file: got {} bytes; expected {}", path.string(),
                            in.gcount(), size));
  }
  return bytes;
}

std::vector<std::byte> read_start(const fs::path& path) {
  constexpr std::streamsize kMost = 4096;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};  // a pipe would be waited for
  std::vector<std::byte> start(kMost);
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(start.data()), kMost);
  start.resize(static_cast<size_t>(in.gcount()));
  return start;
}

}  // namespace combiner

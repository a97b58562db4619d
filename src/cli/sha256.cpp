#include "cli/sha256.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <array>

#include "combiner/error.h"
#include "weights/mapped_file.h"

namespace combiner {

std::string sha256_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::array<unsigned char, 32> sum;
  if (EVP_Digest(file.bytes().data(), file.bytes().size(), sum.data(), nullptr, EVP_sha256(),
                 nullptr) != 1)
    throw Error(fmt::format("{}: OpenSSL can't compute the file's SHA-256 sum", path.string()));
  return fmt::format("{:02x}", fmt::join(sum, ""));
}

}  // namespace combiner

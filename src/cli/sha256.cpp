#include "cli/sha256.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
// The other interface, EVP, first sets up much of OpenSSL, and crashes if memory runs out
// meanwhile.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>

#include "combiner/error.h"
#include "weights/mapped_file.h"

namespace combiner {

std::string sha256_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> sum;
  SHA256_CTX state;
  if (SHA256_Init(&state) != 1 ||
      SHA256_Update(&state, file.bytes().data(), file.bytes().size()) != 1 ||
      SHA256_Final(sum.data(), &state) != 1)
    throw Error(fmt::format("{}: OpenSSL can't compute the file's SHA-256 sum", path.string()));
  return fmt::format("{:02x}", fmt::join(sum, ""));
}

}  // namespace combiner

// Gives a fuzzer's target the files named on the command line, and those in the folders named.
// Stands in for libFuzzer where there is none.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"

namespace {

namespace fs = std::filesystem;

void give(const fs::path& path) {
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);  // the last one is that which failed
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in) throw std::runtime_error("can't read " + path.string());
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  int given = 0;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      give(argv[i]);
      ++given;
      continue;
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(argv[i])) {
      give(entry.path());
      ++given;
    }
  }
  return given > 0 ? 0 : 1;
}

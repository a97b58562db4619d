#include "weights/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "combiner/error.h"

namespace combiner {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto fail = [&](std::string_view action) {
    throw Error(fmt::format("{}: can't {} the file: {}", path.string(), action,
                            std::generic_category().message(errno)));
  };
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) fail("open");
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) fail("read");
  if (S_ISDIR(status.st_mode)) {
    throw Error(fmt::format("{}: is a folder; expected a file", path.string()));
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(fmt::format("{}: is not a regular file", path.string()));
  }
  const size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // mmap rejects an empty range
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) fail("map");
  data_ = {static_cast<const std::byte*>(data), Unmap{size}};
}

void MappedFile::Unmap::operator()(const std::byte* data) const {
  ::munmap(const_cast<std::byte*>(data), size);
}

}  // namespace combiner

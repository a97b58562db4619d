#include "dataset/zip_archive.h"

#include <fmt/format.h>
#include <zip.h>

#include <string>
#include <system_error>

#include "base/file_kind.h"
#include "base/read_file.h"
#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

std::string reason_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  return reason;
}

}  // namespace

void DiscardZip::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive open_zip(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    throw Error(fmt::format("{}: can't open the file: {}", path.string(), error.message()));
  if (!fs::is_regular_file(status))
    throw Error(
        fmt::format("{}: is a folder, device, pipe or socket; expected a file", path.string()));
  int code = 0;
  ZipArchive archive(::zip_open(path.c_str(), ZIP_RDONLY, &code));
  const std::string kind = archive ? "" : file_kind(read_start(path));
  if (code == ZIP_ER_NOZIP && !kind.empty() && !kind.starts_with("a NumPy archive"))
    throw Error(fmt::format("{}: is not a NumPy archive (.npz); it is {}", path.string(), kind));
  if (!archive)
    throw Error(
        fmt::format("{}: can't be read as a zip archive: {}; it is truncated, damaged or "
                    "of another kind",
                    path.string(), reason_of(code)));
  return archive;
}

ZipArchive create_zip(const fs::path& path) {
  int code = 0;
  ZipArchive archive(::zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!archive)
    throw Error(fmt::format("{}: can't create the file: {}", path.string(), reason_of(code)));
  return archive;
}

}  // namespace combiner

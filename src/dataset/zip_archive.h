// libzip's archives as values and Errors.
#pragma once

#include <filesystem>
#include <memory>

struct zip;

namespace combiner {

struct DiscardZip {
  void operator()(zip* archive) const;  // closes it; nothing is written
};
using ZipArchive = std::unique_ptr<zip, DiscardZip>;

// An archive to read from. Error if `path` isn't a regular file, or no zip archive.
ZipArchive open_zip(const std::filesystem::path& path);

// An empty archive that zip_close writes to `path`, under another name first.
ZipArchive create_zip(const std::filesystem::path& path);

}  // namespace combiner

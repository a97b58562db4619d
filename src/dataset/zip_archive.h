// RAII handles for libzip's archives, with failures as Errors.
#pragma once

#include <filesystem>
#include <memory>

struct zip;

namespace combiner {

struct DiscardZip {
  void operator()(zip* archive) const;  // closes the archive without writing it
};
using ZipArchive = std::unique_ptr<zip, DiscardZip>;

// Opens an archive for reading. Throws Error if `path` is not a regular file or not a zip archive.
ZipArchive open_zip(const std::filesystem::path& path);

// An empty archive. zip_close writes it under a temporary name and renames it to `path`. Throws
// Error if it can't be created.
ZipArchive create_zip(const std::filesystem::path& path);

}  // namespace combiner

// Tells what a file is by its first bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace combiner {

// As many of a file's first bytes as is_picture needs.
inline constexpr size_t kSignatureBytes = 32;

// True if the bytes are the start of a picture in a format that read_image reads: PNG, JPEG, WebP,
// TIFF, BMP or one of Netpbm's. The picture may still be damaged. OpenCV knows more formats, but
// has floating-point samples for some (OpenEXR, HDR, PFM), takes memory without limit for what the
// header of another claims (JPEG 2000), and copies the bytes of the rest (Sun raster, those of
// GDAL) to temporary files, which it leaves behind if they are damaged.
bool is_picture(std::span<const uint8_t> start);

bool is_jpeg(std::span<const uint8_t> start);
bool is_png(std::span<const uint8_t> start);
bool is_bmp(std::span<const uint8_t> start);
bool is_tiff(std::span<const uint8_t> start);
bool is_webp(std::span<const uint8_t> start);

// True for P1 to P6 (PBM, PGM, PPM) and P7 (PAM).
bool is_pnm(std::span<const uint8_t> start);

}  // namespace combiner

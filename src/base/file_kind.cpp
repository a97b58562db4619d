#include "base/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/json.h"
#include "base/lower_case.h"
#include "base/read_file.h"

namespace combiner {
namespace {

using namespace std::string_view_literals;

// Kinds whose files all have the same bytes at the same place.
struct Signature {
  size_t offset;
  std::string_view bytes;
  std::string_view kind;
};
constexpr std::string_view kUnpack = "a compressed file: unpack it first";
constexpr Signature kSignatures[] = {
    {0, "version https://git-lfs"sv, "a Git LFS pointer, not the file: run git lfs pull"},
    {7, "\0{\""sv, kSafetensorsKind},
    {0, "GGUF"sv, "a GGUF file, llama.cpp's format of weights; expected safetensors"},
    {0, "\x1f\x8b"sv, "compressed with gzip: unpack it first (tar -xzf if it is a .tar.gz)"},
    {0, "BZh"sv, kUnpack},
    {0, "\xfd\x37zXZ\0"sv, kUnpack},
    {0, "\x28\xb5\x2f\xfd"sv, kUnpack},
    {0, "7z\xbc\xaf\x27\x1c"sv, kUnpack},
    {0, "MATLAB 5.0"sv, "a MATLAB file"},
    {257, "ustar"sv, "a tar archive: unpack it first (tar -xf)"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "\x89HDF\r\n"sv, "an HDF5 file (of Keras?): convert its weights to safetensors"},
    {0, "\x89PNG"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {0, "GIF8"sv, "a GIF picture: convert it to PNG first"},
    {0, "\xff\x0a"sv, "a JPEG XL picture: convert it to PNG first"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL picture: convert it to PNG first"},
    {0, "\0\0\0\x0CjP  "sv, "a JPEG 2000 picture: convert it to PNG first"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 picture: convert it to PNG first"},
    {4, "ftypavif"sv, "an AVIF picture: convert it to PNG first"},
    {4, "ftypheic"sv, "an HEIC picture: convert it to PNG first"},
    {4, "ftypmif1"sv, "an HEIF picture: convert it to PNG first"},
    {0, "\x76\x2f\x31\x01"sv, "an OpenEXR picture, of floating-point samples; expected 8 bits"},
    {0, "#?RGBE"sv, "an HDR picture, of floating-point samples; expected 8 bits"},
    {0, "#?RADIANCE"sv, "an HDR picture, of floating-point samples; expected 8 bits"},
    {0, "PF\n"sv, "a PFM picture, of floating-point samples; expected 8 bits"},
    {0, "Pf\n"sv, "a PFM picture, of floating-point samples; expected 8 bits"},
    {0, "\x59\xa6\x6a\x95"sv, "a Sun raster picture: convert it to PNG first"},
};

bool in(char c, int low, int high) {
  const int code = static_cast<unsigned char>(c);
  return low <= code && code <= high;
}

bool is_space(char c) { return c == ' ' || in(c, '\t', '\r'); }

// `word` is in lower case; the text may have it in any.
bool starts_with_word(std::string_view text, std::string_view word) {
  return lower_case(text.substr(0, word.size())) == word;
}

bool holds(std::string_view start, std::string_view part) { return start.find(part) != start.npos; }

// Kinds that are told by the form of the first bytes.
std::string binary_kind(std::string_view start) {
  if (start.starts_with("PK\3\4")) {
    if (holds(start, "data.pkl")) return "a PyTorch file: convert its weights to safetensors";
    return holds(start, ".npy") ? "a NumPy archive (.npz)" : "a zip archive: unpack it first";
  }
  if (start.size() < 3) return {};
  if (start[0] == '\x80' && in(start[1], 2, 5) && holds(start, "batch_label"))
    return "a batch of CIFAR-10's Python version, a pickle";
  if (start[0] == '\x80' && in(start[1], 2, 5))
    return "a Python pickle, as PyTorch's older files are: convert its weights to safetensors";
  // A map with a few keys, the first of them a short word.
  if (in(start[0], 0x81, 0x8f) && in(start[1], 0xa1, 0xbf) && in(start[2], '0', 'z'))
    return "a checkpoint of Flax (msgpack): convert it with tools/import_flax.py";
  // A version of the format, then the name of the program that wrote it.
  if (start[0] == 8 && in(start[1], 1, 31) && start[2] == 18)
    return "an ONNX model: convert its weights to safetensors";
  if (start.size() > 8 && std::ranges::all_of(start, [](char c) { return c == 0; }))
    return "nothing but zeros at its start: a download or copy that did not finish";
  return {};
}

std::string text_kind(std::string_view text) {
  text.remove_prefix(std::min(text.size(), text.starts_with("\xef\xbb\xbf") ? size_t{3} : 0));
  const auto first = std::ranges::find_if_not(text, is_space);
  text.remove_prefix(static_cast<size_t>(first - text.begin()));
  if (text.empty()) return "empty: it has nothing but spaces";
  if (starts_with_word(text, "<!doctype html") || starts_with_word(text, "<html"))
    return "an HTML page, not the file: the download failed, or asks for a login";
  if (text.starts_with("<?xml") || text.starts_with("<Error"))
    return "an XML page, not the file: did the download fail?";
  if (text.front() == '{') {
    if (is_weights_index(text))
      return "the index of weights that lie in several files: join them into one "
             "safetensors file first";
    const bool is_config = holds(text, fmt::format("\"{}\"", kConfigFormat));
    return std::string(is_config ? kConfigKind : "JSON text");
  }
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  return fmt::format("text that begins with {}", shown(line));
}

}  // namespace

bool is_weights_index(std::string_view text) { return holds(text, "\"weight_map\""); }

std::string file_kind(std::span<const std::byte> contents) {
  constexpr size_t kStart = 4096;
  const std::string_view start(reinterpret_cast<const char*>(contents.data()),
                               std::min(contents.size(), kStart));
  if (start.empty()) return "empty";
  for (const Signature& known : kSignatures)
    if (start.size() > known.offset && start.substr(known.offset).starts_with(known.bytes))
      return std::string(known.kind);
  // Text in any language has no control characters but spaces, and UTF-8 no byte above 0xf7.
  if (std::ranges::none_of(
          start, [](char c) { return (in(c, 0, 31) && !is_space(c)) || in(c, 0xf8, 0xff); }))
    return text_kind(start);
  return binary_kind(start);
}

std::string file_kind(const std::filesystem::path& path) {
  const std::vector<std::byte> start = read_start(path);
  std::error_code error;
  if (start.empty() && (std::filesystem::file_size(path, error) != 0 || error)) return {};
  return file_kind(start);
}

bool is_safetensors(std::span<const std::byte> contents) {
  return file_kind(contents) == kSafetensorsKind;
}

}  // namespace combiner

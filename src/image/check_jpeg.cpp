#include "image/check_jpeg.h"

#include <fmt/format.h>

// jpeglib.h uses size_t and FILE without including what declares them.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>

#include "combiner/error.h"
#include "image/check_size.h"

namespace combiner {
namespace {

// Follows the markers to the end-of-image marker. The decoder makes up the missing part of a
// truncated file, like that of a damaged one.
bool is_whole(std::span<const uint8_t> bytes) {
  size_t at = 2;  // past the start-of-image marker
  while (at + 1 < bytes.size()) {
    const uint8_t marker = bytes[at + 1];
    if (bytes[at] != 0xFF || marker == 0xFF) {
      ++at;  // compressed data or a fill byte
    } else if (marker == 0xD9) {
      return true;
    } else if (marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
      at += 2;  // an escaped 0xFF, or a marker without a segment
    } else if (at + 3 < bytes.size()) {
      at += 2 + (size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
    } else {
      return false;
    }
  }
  return false;
}

// libjpeg reports an error with a function that must not return, so longjmp leaves it. Nothing
// between setjmp and longjmp has a destructor.
class JpegChecker {
 public:
  JpegChecker() {
    jpeg_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = on_error;
    errors_.manager.emit_message = on_message;
  }
  ~JpegChecker() { jpeg_destroy_decompress(&jpeg_); }
  JpegChecker(const JpegChecker&) = delete;
  JpegChecker& operator=(const JpegChecker&) = delete;

  // Returns false if libjpeg can't go on. width() and height() are known after success.
  bool read_header(std::span<const uint8_t> bytes) {
    if (setjmp(errors_.jump)) return false;
    jpeg_create_decompress(&jpeg_);  // which may fail, too
    jpeg_mem_src(&jpeg_, bytes.data(), bytes.size());
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  // Decompresses the data without making pixels of it. A picture of many scans that hardly hold
  // anything would take minutes to decode.
  bool read_data() {
    if (setjmp(errors_.jump)) return false;
    progress_.progress_monitor = on_progress;
    jpeg_.progress = &progress_;
    jpeg_read_coefficients(&jpeg_);
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  int64_t width() const { return jpeg_.image_width; }
  int64_t height() const { return jpeg_.image_height; }
  // What libjpeg has said first: an error or a warning. Empty if it has said nothing.
  std::string words() const { return errors_.words; }

 private:
  struct Errors {
    jpeg_error_mgr manager;  // the first member, so that libjpeg's pointer leads to the others
    std::jmp_buf jump;
    char words[JMSG_LENGTH_MAX];
  };

  static Errors& errors_of(j_common_ptr jpeg) { return *reinterpret_cast<Errors*>(jpeg->err); }

  static void note(j_common_ptr jpeg) {
    Errors& errors = errors_of(jpeg);
    if (errors.words[0] == '\0') jpeg->err->format_message(jpeg, errors.words);
  }

  static void on_error(j_common_ptr jpeg) {
    note(jpeg);
    std::longjmp(errors_of(jpeg).jump, 1);
  }

  static void on_message(j_common_ptr jpeg, int level) {
    if (level >= 0) return;  // not a warning
    const int code = jpeg->err->msg_code;
    // Common in photographs of some telephones, and without effect on the pixels.
    if (code == JWRN_NOT_SEQUENTIAL || code == JWRN_JFIF_MAJOR) return;
    note(jpeg);
  }

  static void on_progress(j_common_ptr jpeg) {
    constexpr int kMostScans = 200;  // encoders make about ten
    if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMostScans) return;
    Errors& errors = errors_of(jpeg);
    std::snprintf(errors.words, sizeof(errors.words), "more than %d scans", kMostScans);
    std::longjmp(errors.jump, 1);
  }

  Errors errors_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct jpeg_{};
};

}  // namespace

void check_jpeg(std::span<const uint8_t> bytes, std::string_view where) {
  if (!is_whole(bytes))
    throw Error(fmt::format("{}: is truncated: a JPEG without its end marker", where));
  JpegChecker checker;
  bool good = checker.read_header(bytes);
  if (good) {
    check_size(checker.width(), checker.height(), where);
    good = checker.read_data();
  }
  if (const std::string words = checker.words(); !good || !words.empty())
    throw Error(fmt::format("{}: is damaged{}: libjpeg says: {}", where,
                            good ? "" : " or of a kind that isn't read", words));
}

}  // namespace combiner

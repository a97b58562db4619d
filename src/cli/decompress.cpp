// combiner decompress: unpacks what combiner compress has packed.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/plural.h"
#include "base/printable.h"
#include "cli/coding_options.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/rate_text.h"
#include "cli/say.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "cli/unpacked_pictures.h"
#include "codec/coded_file.h"
#include "codec/coded_pictures.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "weights/mapped_file.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

struct DecompressOptions {
  std::string file;
  std::string output;
  bool test = false;
  bool keep_going = false;
  std::optional<int64_t> only;
  CodingCommandOptions coding;
};

// Throws CLI::ValidationError if the options contradict each other or an input would be replaced.
void check(const DecompressOptions& options) {
  if (options.test && !options.output.empty())
    throw CLI::ValidationError("--output and --test can't both be given");
  if (options.test) return;
  if (options.output.empty())
    throw CLI::ValidationError(
        "nothing says where the pictures go; give --output, or --test to only try");
  unpacking_of(options.output);
  check_no_input("--output", options.output, options.file);
  check_no_input("--output", options.output, find_model(options.coding.model).string());
}

// Loads the model that the file was made with: the one that was named or else any that is shipped.
// Throws Error if that is another, or can't compute here what it computed there.
Model load_model_of(const CodedFile& file, const CodingCommandOptions& options) {
  fs::path path = find_model(options.model);
  std::string sha256 = sha256_of_file(path);
  if (options.model.empty() && sha256 != file.header().sha256)
    for (const fs::path& shipped : shipped_models())
      if (sha256_of_file(shipped) == file.header().sha256) {
        say("{}: was made with the shipped model {}, so that is used\n", file.source(),
            printable(shipped.stem().string()));
        path = shipped;
        sha256 = file.header().sha256;
        break;
      }
  check_model(file, path.string(), sha256, "name the model that it was made with by --model");
  return Model(load_weights(path), file.header().precision, options.threads);
}

std::string shown_name(const CodedFile& file, size_t index) {
  const std::string& name = file.pictures()[index].name;
  return name.empty() ? fmt::format("picture {}", index)
                      : fmt::format("picture {} ({})", index, name);
}

// Unpacks pictures, and keeps account of those that can't be.
class Decompression {
 public:
  // Finds out which of the pictures seem whole. Throws Error if one doesn't, unless it should keep
  // going, or if none does.
  Decompression(CodedFile& file, const std::vector<size_t>& indices, bool keep_going)
      : file_(file), keep_going_(keep_going), asked_(indices.size()) {
    for (const size_t index : indices) (file_.is_whole(index) ? whole_ : damaged_).push_back(index);
    if (!damaged_.empty() && (!keep_going_ || whole_.empty())) fail();
    for (const size_t index : whole_)
      streams_ += streams_of(file_.pictures()[index], file_.header());
  }

  const std::vector<size_t>& whole() const { return whole_; }
  int64_t streams() const { return streams_; }
  int64_t unpacked() const { return unpacked_; }

  // Returns false if interrupted.
  bool run(ImageCoder& coder, UnpackedPictures* to, const std::atomic<bool>& interrupted) {
    const int height = file_.header().height;
    int64_t rows = 0;
    Progress progress("images");
    progress.update(0, 0);
    const CodingEvents events = {
        .row_done =
            [&] {
              ++rows;
              progress.update(rows / height,
                              static_cast<double>(rows) / static_cast<double>(streams_ * height));
            },
        .cancel = cancel_if(interrupted)};
    const auto done = [&](size_t index, const Image& picture) {
      if (picture.pixels.empty()) {
        damaged_.push_back(index);
        if (!keep_going_) fail();
        return;
      }
      if (to != nullptr) to->add(index, picture);
      ++unpacked_;
    };
    return decode_pictures(file_, whole_, coder, done, events);
  }

  // Throws Error if pictures were damaged.
  void finish() const {
    if (!damaged_.empty()) fail();
  }

 private:
  // Names the damaged pictures: all of them if it kept going, or else the first few.
  [[noreturn]] void fail() const {
    constexpr size_t kFew = 10;
    const size_t count = keep_going_ ? damaged_.size() : std::min(damaged_.size(), kFew);
    std::vector<size_t> damaged = damaged_;
    std::ranges::sort(damaged);
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back(shown_name(file_, damaged[i]));
    throw Error(fmt::format(
        "{}: damaged: {} of {}: {}{}{}", file_.source(), damaged_.size(),
        plural(static_cast<int64_t>(asked_), "picture"), fmt::join(names, ", "),
        count < damaged_.size() ? ", ..." : "",
        keep_going_ || damaged.size() == asked_ ? "" : "; --keep-going unpacks the others"));
  }

  CodedFile& file_;
  bool keep_going_;
  size_t asked_;
  std::vector<size_t> whole_;  // but for streams that turn out to be damaged
  std::vector<size_t> damaged_;
  int64_t streams_ = 0;
  int64_t unpacked_ = 0;
};

std::vector<size_t> wanted(const CodedFile& file, const std::optional<int64_t>& only) {
  const size_t count = file.pictures().size();
  if (count == 0) throw Error(fmt::format("{}: holds no pictures", file.source()));
  if (only && std::cmp_greater_equal(*only, count))
    throw Error(fmt::format("{}: has no picture {}; it has {}, counted from 0", file.source(),
                            *only, plural(static_cast<int64_t>(count), "picture")));
  std::vector<size_t> indices(only ? 1 : count);
  std::iota(indices.begin(), indices.end(), only ? static_cast<size_t>(*only) : 0);
  return indices;
}

void run(const DecompressOptions& options) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  const MappedFile mapped(options.file);
  const std::span<const std::byte> bytes = mapped.bytes();
  CodedFile file({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, options.file);
  Decompression decompression(file, wanted(file, options.only), options.keep_going);
  const Model model = load_model_of(file, options.coding);
  std::unique_ptr<UnpackedPictures> to;
  if (!options.test)
    to = unpack_to(options.output, file.pictures(), decompression.whole(), interrupted);

  ImageCoder coder(model, coding_options(options.coding, model));
  const auto start = std::chrono::steady_clock::now();
  // What is left if the work ends early.
  const bool keeps_some = to && to->keeps_unfinished();
  const auto kept = [&] {
    return fmt::format("{} of {} are in {}", decompression.unpacked(),
                       plural(std::ssize(decompression.whole()), "picture"), options.output);
  };
  bool finished = false;
  try {
    finished = decompression.run(coder, to.get(), interrupted);
  } catch (const Error& error) {
    if (!keeps_some) throw;
    throw Error(fmt::format("{}; {}", error.what(), kept()));
  }
  if (!finished)
    throw Interrupted(keeps_some ? "interrupted: " + kept() : "interrupted: nothing is written");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (decompression.unpacked() == 0) decompression.finish();  // all were damaged
  if (to) to->finish();
  const std::string speed =
      fmt::format("{} images/s ({}; {})",
                  rate_text(static_cast<double>(decompression.streams()) / seconds.count()),
                  name(model.precision()), instructions_in_use());
  const std::string pictures = plural(decompression.unpacked(), "picture");
  if (options.test)
    put("{}: {} can be decompressed, {}\n", options.file, pictures, speed);
  else
    put("{}: {}, {}\n", options.output, pictures, speed);
  decompression.finish();
}

}  // namespace

Action decompress_command(CLI::App& command) {
  const auto options = std::make_shared<DecompressOptions>();
  command.add_option("FILE", options->file, "A file that combiner compress made")
      ->type_name("")
      ->required();
  CLI::Option* const output =
      command
          .add_option(
              "-o,--output", options->output,
              "A folder (ending in / or there already) or a .tar for a PNG of each picture, or a "
              ".bin (CIFAR-10) or .npz for records with labels")
          ->type_name("DIR/|FILE");
  command.add_flag("--test", options->test, "Decompress everything and write nothing");
  add_number(command, "--only", options->only, {0}, "Only picture K, counted from 0")
      ->type_name("K");
  command.add_flag("--keep-going", options->keep_going,
                   "Leave damaged pictures out, rather than stop at them");
  add_coding_options(command, options->coding);
  command.parse_complete_callback([options, output] {
    if (output->count() > 0 && options->output.empty()) return;  // check_values() says so
    check(*options);
  });
  return [options] { run(*options); };
}

}  // namespace combiner

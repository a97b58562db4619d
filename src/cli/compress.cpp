// combiner compress: packs pictures without loss, in about as many bits as the model's likelihood
// says.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/plural.h"
#include "base/printable.h"
#include "base/share.h"
#include "cli/coding_options.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/picture_inputs.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/rate_text.h"
#include "cli/say.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "cli/unpacked_names.h"
#include "cluster/gathering.h"
#include "codec/coded_file.h"
#include "codec/coded_pictures.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

struct CompressOptions {
  std::vector<std::string> inputs;
  std::string output;
  CodingCommandOptions coding;
  Precision precision = Precision::f32;
  bool json = false;
};

// What is packed, in numbers.
struct Totals {
  int64_t pictures = 0;
  int64_t streams = 0;
  int64_t subpixels = 0;
  int64_t tiled = 0;        // pictures that are not of the model's size
  int64_t tiles = 0;        // of these
  int64_t tile_pixels = 0;  // of these, with padding
  int64_t padding = 0;      // pixels
};

Totals count(const std::vector<CodedPicture>& pictures, const CodedHeader& header) {
  Totals totals{.pictures = std::ssize(pictures)};
  for (const CodedPicture& picture : pictures) {
    const int64_t streams = streams_of(picture, header);
    const int64_t pixels = int64_t{picture.width} * picture.height;
    totals.streams += streams;
    totals.subpixels += 3 * pixels;
    if (picture.width == header.width && picture.height == header.height) continue;
    const int64_t with_padding = streams * header.width * header.height;
    ++totals.tiled;
    totals.tiles += streams;
    totals.tile_pixels += with_padding;
    totals.padding += with_padding - pixels;
  }
  return totals;
}

void say_tiles(const Totals& totals, const CodedHeader& header) {
  if (totals.tiled == 0) return;
  say("{} not of the model's {}x{} pixels: cut in {}, {:.1f} % of which is padding; each tile is "
      "coded on its own, which takes more bits\n",
      totals.tiled == 1 ? "1 picture is" : fmt::format("{} pictures are", totals.tiled),
      header.width, header.height, plural(totals.tiles, "tile"),
      100 * static_cast<double>(totals.padding) / static_cast<double>(totals.tile_pixels));
}

double bits_per_dim(int64_t bytes, double subpixels) {
  return 8 * static_cast<double>(bytes) / subpixels;
}

// Encodes the pictures on all ranks, each its share. Rank 0 writes the streams. Returns false if
// interrupted.
bool encode(const PictureInputs& inputs, const Totals& totals, ImageCoder& coder,
            CodedFileWriter& writer, const std::atomic<bool>& interrupted, Cluster& cluster) {
  const TileSize image = coder.image_size();
  int64_t rows = 0, streams = 0, bytes = 0;
  Progress progress("images");
  const auto show = [&] {
    const auto subpixels = static_cast<double>(streams * image.width * image.height * 3);
    progress.update(
        streams, static_cast<double>(rows) / static_cast<double>(totals.streams * image.height),
        streams == 0 ? "" : fmt::format("{:.4f} bits/dim", bits_per_dim(bytes, subpixels)));
  };
  show();
  // What ranks give: that a row is done or that a stream has so many bytes, for the progress, and
  // streams. Those of later ranks' pictures wait for their turn.
  constexpr char kRow = 'r', kBytes = 'b', kStream = 's';
  std::vector<std::vector<std::vector<uint8_t>>> waiting(static_cast<size_t>(cluster.size()));
  const auto take = [&](int rank, const std::string& text) {
    if (text.front() == kRow) {
      ++rows;
      show();
    } else if (text.front() == kBytes) {
      ++streams;
      bytes += std::stoll(text.substr(1));
    } else if (rank == 0) {
      writer.add({text.begin() + 1, text.end()});
    } else {
      waiting[static_cast<size_t>(rank)].emplace_back(text.begin() + 1, text.end());
    }
  };
  Gathering gathering(cluster, take, cancel_if(interrupted));
  const CodingEvents events = {
      .row_done =
          [&] {
            gathering.give({kRow});
            gathering.go_on();
          },
      .stream_done = [&](size_t size) { gathering.give(kBytes + std::to_string(size)); },
      .cancel = Cancel([&] { return gathering.stopped(); })};
  const Range part = part_of(std::ssize(inputs.pictures()), cluster.rank(), cluster.size());
  encode_pictures(
      static_cast<size_t>(part.last - part.first),
      [&](size_t picture) { return inputs.read(static_cast<size_t>(part.first) + picture); }, coder,
      [&](const std::vector<uint8_t>& stream) {
        gathering.give(std::string(1, kStream).append(stream.begin(), stream.end()));
      },
      events);
  const bool whole = gathering.finish();
  for (auto& of_rank : waiting)
    for (std::vector<uint8_t>& stream : of_rank) writer.add(std::move(stream));
  return whole;
}

void report(const CompressOptions& options, const CodedHeader& header, const Totals& totals,
            int64_t bytes, double seconds) {
  const double bits = bits_per_dim(bytes, static_cast<double>(totals.subpixels));
  const double images_per_second = static_cast<double>(totals.streams) / seconds;
  if (options.json)
    return print_json({{"output", options.output},
                       {"pictures", totals.pictures},
                       {"streams", totals.streams},
                       {"bytes", bytes},
                       {"bits_per_dim", bits},
                       {"images_per_second", images_per_second},
                       {"model", header.model},
                       {"sha256", header.sha256},
                       {"precision", name(header.precision)},
                       {"kernels", header.kernels},
                       {"threads", options.coding.threads}});
  const std::string line =
      fmt::format("{}: {}, {} bytes, {:.4f} bits/dim, {} images/s ({}; {})\n", options.output,
                  plural(totals.pictures, "picture"), bytes, bits, rate_text(images_per_second),
                  name(options.precision), instructions_in_use());
  if (is_standard_output(options.output))
    say("{}", line);  // the file is there
  else
    put("{}", line);
}

void run(const CompressOptions& options, Cluster& cluster) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  const fs::path path = find_model(options.coding.model);
  // Before what takes long, so that a bad path is reported at once.
  std::optional<OutputFile> file;
  const bool is_first = cluster.rank() == 0;
  const bool to_file = !is_standard_output(options.output);
  if (is_first && to_file) file.emplace(options.output);
  const Model model(load_weights(path), options.precision, options.coding.threads);
  const CodedHeader header = header_for(model, path.filename().string(), sha256_of_file(path));
  const PictureInputs inputs(options.inputs, interrupted);
  check_pictures(inputs.pictures());
  for (const std::string& name : unpacked_names(inputs.pictures())) check_length(name, "rename it");
  const Totals totals = count(inputs.pictures(), header);
  say_tiles(totals, header);

  int64_t bytes = 0;
  CodedFileWriter writer(header, [&](std::span<const uint8_t> more) {
    if (file)
      file->write(std::as_bytes(more));
    else if (is_first)
      write_output(std::as_bytes(more));
    bytes += std::ssize(more);
  });
  ImageCoder coder(model, coding_options(options.coding, model));
  const auto start = std::chrono::steady_clock::now();
  if (!encode(inputs, totals, coder, writer, interrupted, cluster))
    throw Interrupted(to_file ? fmt::format("interrupted: {} is not written", options.output)
                              : "interrupted: what was written is cut off");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!is_first) return;
  writer.finish(inputs.pictures());
  if (file) file->commit();
  report(options, header, totals, bytes, seconds.count());
}

}  // namespace

ClusterAction compress_command(CLI::App& command) {
  const auto options = std::make_shared<CompressOptions>();
  command
      .add_option("IMAGES", options->inputs,
                  "Pictures, folders of pictures, CIFAR-10 .bin files or .npz files; names and "
                  "labels are kept")
      ->type_name("")
      ->required();
  command.add_option("-o,--output", options->output, "The file to write, or - for standard output")
      ->type_name("FILE.cmb")
      ->required();
  command
      .add_option_function<std::string>(
          "--precision",
          [options](const std::string& name) { options->precision = *precision_named(name); },
          "Precision of the matrix products; a file in bf16 or int8 can only be decompressed "
          "where the same kernels are used")
      ->check(one_of({"f32", "bf16", "int8"}))
      ->default_str("f32");
  add_coding_options(command, options->coding);
  command.add_flag("--json", options->json, "Print JSON");
  command.parse_complete_callback([options] {
    if (is_standard_output(options->output))
      return check_standard_output("a packed file", options->json);
    for (const std::string& input : options->inputs)
      check_no_input("--output", options->output, input);
    check_no_input("--output", options->output, find_model(options->coding.model).string());
    // As with `-o *.png`, where the first picture becomes the output.
    std::error_code ignored;  // a file that can't be examined can't be written either
    if (fs::is_regular_file(options->output, ignored) &&
        fs::file_size(options->output, ignored) > 0 && !is_coded_file(options->output))
      throw CLI::ValidationError(
          "--output",
          fmt::format("{} is there already and is not a file that compress made; choose "
                      "another name",
                      printable(options->output)));
  });
  return [options](Cluster& cluster) { run(*options, cluster); };
}

}  // namespace combiner

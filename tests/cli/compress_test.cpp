#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "cli/run_program.h"
#include "cli/sha256.h"
#include "cli/slow_model.h"
#include "codec/coded_file.h"
#include "combiner/instruction_set.h"
#include "data_folders.h"
#include "dataset/npz_writer.h"
#include "file_text.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "instruction_sets.h"
#include "random.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const std::string kModel = (golden_folder() / "pixel_mixed.safetensors").string();
constexpr int kWidth = 6, kHeight = 3;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A folder of pictures, some of the model's size.
struct Case {
  TempFolder folder;
  std::string pictures, file, out;
  std::vector<std::pair<std::string, Image>> images;

  explicit Case(bool other_sizes = true) {
    Random random(3);
    pictures = (folder / "pictures").string();
    file = (folder / "file.cmb").string();
    out = (folder / "out/").string();
    for (const auto& [name, width, height] : {std::tuple("a/0.png", kWidth, kHeight),
                                              {"a/1.png", 7, 3},
                                              {"b/0.png", 13, 8},
                                              {"b/c/2", kWidth, kHeight},
                                              {"z.PNG", 1, 1}}) {
      if (!other_sizes && (width != kWidth || height != kHeight)) continue;
      images.emplace_back(
          name, Image{width, height, random.bytes(static_cast<size_t>(3 * width * height))});
      fs::create_directories((fs::path(pictures) / name).parent_path());
      write_png(fs::path(pictures) / name, images.back().second);
    }
  }

  ProgramResult compress(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"compress", "--model", kModel, "-o", file});
    return run_combiner(more);
  }
  ProgramResult decompress(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"decompress", "--model", kModel, file});
    return run_combiner(more);
  }
};

// A packed file with another header or other pictures, but the same streams.
template <class Change>
std::string repacked(const std::string& text, const Change& change) {
  CodedFile file(bytes_of(text), "the file");
  CodedHeader header = file.header();
  std::vector<CodedPicture> pictures(file.pictures().begin(), file.pictures().end());
  change(header, pictures);
  std::string bytes;
  CodedFileWriter writer(
      header, [&](std::span<const uint8_t> more) { bytes.append(more.begin(), more.end()); });
  for (int64_t i = 0; i < file.streams(); ++i) {
    const std::span<const uint8_t> stream = file.stream(i).value();
    writer.add({stream.begin(), stream.end()});
  }
  writer.finish(pictures);
  return bytes;
}

TEST_CASE("compress: a folder of pictures of any size comes back under its names") {
  const Case c;
  const ProgramResult packed = c.compress({c.pictures});
  CHECK(packed.exit_code == 0);
  CHECK_THAT(packed.err, contains("3 pictures are not of the model's 6x3 pixels: cut in 12 tiles, "
                                  "41.7 % of which is padding"));
  CHECK(packed.out.starts_with(
      fmt::format("{}: 5 pictures, {} bytes, ", c.file, fs::file_size(c.file))));
  CHECK_THAT(packed.out, contains(" bits/dim, ") && contains(" images/s (f32; "));
  const std::string bytes = read_text(c.file);
  CHECK(c.compress({c.pictures, "--batch", "1", "--threads", "1"}).exit_code == 0);
  CHECK(read_text(c.file) == bytes);

  const ProgramResult unpacked = c.decompress({"-o", c.out});
  CHECK(unpacked.exit_code == 0);
  CHECK(unpacked.err.empty());
  CHECK(unpacked.out.starts_with(c.out + ": 5 pictures, "));
  for (const auto& [name, image] : c.images)
    CHECK(read_image(c.out + name + (name == "b/c/2" ? ".png" : "")) == image);

  const ProgramResult tested = c.decompress({"--test"});
  CHECK(tested.exit_code == 0);
  CHECK(tested.out.starts_with(c.file + ": 5 pictures can be decompressed, "));

  const std::string one = (c.folder / "one/").string();
  CHECK(c.decompress({"-o", one, "--only", "2"}).exit_code == 0);
  CHECK(read_image(one + "b/0.png") == c.images[2].second);
  CHECK_FALSE(fs::exists(one + "a"));
  CHECK_THAT(c.decompress({"-o", one, "--only", "5"}).err,
             contains("has no picture 5; it has 5 pictures"));

  const ProgramResult info = run_combiner({"info", c.file});
  CHECK(info.exit_code == 0);
  for (const char* line : {"model        pixel_mixed.safetensors\n", "precision    f32\n",
                           "pictures     5\n", "sizes        4 different\n", "names        true\n",
                           "labels       false\n", "streams      14\n"})
    CHECK_THAT(info.out, contains(line));
  CHECK(nlohmann::json::parse(run_combiner({"info", c.file, "--json"}).out)["bytes"] ==
        fs::file_size(c.file));
}

TEST_CASE("compress: - is standard output, and a name that can't be written is found out first") {
  const Case c;
  CHECK(c.compress({c.pictures}).exit_code == 0);
  const ProgramResult piped = run_combiner({"compress", "--model", kModel, c.pictures, "-o", "-"});
  CHECK((run_combiner({"compress", "--model", kModel, c.pictures, "-o", "/dev/stdout"}).out ==
         piped.out));
  CHECK(piped.exit_code == 0);
  CHECK(piped.out == read_text(c.file));
  CHECK_THAT(piped.err, contains("-: 5 pictures, "));
  const ProgramResult json =
      run_combiner({"compress", "--model", kModel, c.pictures, "-o", "-", "--json"});
  CHECK(json.exit_code == 2);
  CHECK_THAT(json.err, contains("--json and --output - both write to standard output"));

  write_text(c.pictures + "/broken.png", "\x89PNG\r\n\x1A\n");
  const ProgramResult absent = run_combiner(
      {"compress", "--model", kModel, c.pictures, "-o", (c.folder / "none/x.cmb").string()});
  CHECK(absent.exit_code == 1);
  CHECK_THAT(absent.err, contains("none/x.cmb: can't create the file") && !contains("broken.png"));
}

TEST_CASE("compress: two pictures of one name are named with their folders") {
  const Case c;
  const std::string first = c.pictures + "/a/0.png", second = c.pictures + "/b/0.png";
  const ProgramResult result = c.compress({first, second});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains(fmt::format("{} and {} would both be called 0.png; rename one",
                                              first, second)));
}

TEST_CASE("compress: a tar archive holds the pictures as PNGs") {
  const Case c;
  CHECK(c.compress({c.pictures}).exit_code == 0);
  const std::string tar = (c.folder / "out.tar").string();
  CHECK(c.decompress({"-o", tar}).exit_code == 0);
  fs::create_directory(c.out);
  REQUIRE(std::system(fmt::format("tar -xf {} -C {}", tar, c.out).c_str()) == 0);
  for (const auto& [name, image] : c.images)
    CHECK(read_image(c.out + name + (name == "b/c/2" ? ".png" : "")) == image);
}

TEST_CASE("compress: records keep their labels") {
  const TempFolder folder;
  Random random(4);
  std::string records;
  for (int i = 0; i < 2; ++i) {
    records += static_cast<char>(7 - i);
    for (const uint8_t byte : random.bytes(3072)) records += static_cast<char>(byte);
  }
  const std::string bin = write_text(folder / "in.bin", records).string();
  const std::string file = (folder / "file.cmb").string(), out = (folder / "out.bin").string();
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--model", kModel});
    return run_combiner(arguments);
  };
  CHECK(run({"compress", bin, "-o", file}).exit_code == 0);
  const ProgramResult unpacked = run({"decompress", file, "-o", out});
  CHECK(unpacked.exit_code == 0);
  CHECK(unpacked.err.empty());
  CHECK(read_text(out) == records);

  const std::string npz = (folder / "out.npz").string(), again = (folder / "again.cmb").string();
  CHECK(run({"decompress", file, "-o", npz}).exit_code == 0);
  CHECK(run({"compress", npz, "-o", again}).exit_code == 0);
  CHECK(read_text(again) == read_text(file));

  // A picture has no label, and a record has no name.
  const std::string picture = (folder / "x.png").string();
  write_png(picture, {kWidth, kHeight, random.bytes(3 * kWidth * kHeight)});
  const ProgramResult mixed = run({"compress", bin, picture, "-o", file});
  CHECK(mixed.exit_code == 0);
  CHECK_THAT(mixed.err, contains("names are left out") && contains("labels are left out"));
  CHECK(run({"decompress", file, "-o", (folder / "all/").string()}).exit_code == 0);
  CHECK(read_image(folder / "all/00002.png") == read_image(picture));
  const ProgramResult refused = run({"decompress", file, "-o", out});
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, contains("picture 2 is 6x3 pixels; expected 32x32"));
  CHECK(read_text(out) == records);
}

TEST_CASE("compress: damaged pictures are named, and others unpacked if asked") {
  const Case c(false);
  CHECK(c.compress({c.pictures}).exit_code == 0);
  const std::string bytes = read_text(c.file);
  // Behind the header are the sizes of the streams, and then the streams.
  std::string damaged = bytes;
  damaged[bytes.find('}') + 4 + 5] ^= 1;
  write_text(c.file, damaged);
  const ProgramResult result = c.decompress({"-o", c.out});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err,
             contains("damaged: 2 of 2 pictures: picture 0 (a/0.png), picture 1 (b/c/2)\n"));
  CHECK_FALSE(fs::exists(c.out));
  CHECK(c.decompress({"-o", c.out, "--keep-going"}).exit_code == 1);
  CHECK(c.decompress({"--test"}).exit_code == 1);
  write_text(c.file, bytes.substr(0, bytes.size() - 3));
  CHECK_THAT(c.decompress({"--test"}).err, contains("cut off"));
}

TEST_CASE("decompress: damage in one group leaves the others") {
  const TempFolder folder;
  Random random(5);
  for (int i = 0; i < 20; ++i)
    write_png(folder / fmt::format("in/{:02}.png", (fs::create_directory(folder / "in"), i)),
              {kWidth, kHeight, random.bytes(3 * kWidth * kHeight)});
  const std::string file = (folder / "file.cmb").string(), out = (folder / "out/").string();
  CHECK(run_combiner({"compress", "--model", kModel, (folder / "in").string(), "-o", file})
            .exit_code == 0);
  std::string bytes = read_text(file);
  bytes[bytes.find('}') + 4 + 20] ^= 1;
  write_text(file, bytes);
  const ProgramResult stopped = run_combiner({"decompress", "--model", kModel, file, "-o", out});
  CHECK(stopped.exit_code == 1);
  CHECK_THAT(stopped.err,
             contains("damaged: 16 of 20 pictures: picture 0 (00.png), picture 1 (01.png), ") &&
                 contains("picture 9 (09.png), ...; --keep-going unpacks the others\n"));
  CHECK_FALSE(fs::exists(out));

  const ProgramResult result =
      run_combiner({"decompress", "--model", kModel, file, "-o", out, "--keep-going"});
  CHECK(result.exit_code == 1);
  CHECK(result.out.starts_with(out + ": 4 pictures, "));
  std::string lost;
  for (int i = 0; i < 16; ++i) lost += fmt::format("{}picture {} ({:02}.png)", i ? ", " : "", i, i);
  CHECK(result.err == fmt::format("combiner: {}: damaged: 16 of 20 pictures: {}\n", file, lost));
  for (const char* name : {"16.png", "19.png"})
    CHECK(read_image(out + name) == read_image(folder / "in" / name));
  CHECK_FALSE(fs::exists(out + "15.png"));
}

// A file that is whole, but not of the logits that the model gives here.
TEST_CASE("decompress: what is unpacked before a picture fails is said") {
  const Case c(false);
  REQUIRE(c.compress({c.pictures}).exit_code == 0);
  const std::string text = read_text(c.file);
  const CodedFile before(bytes_of(text), c.file);
  std::vector<uint8_t> bytes;
  CodedFileWriter writer(before.header(), [&](std::span<const uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  });
  CodedFile streams(bytes_of(text), c.file);
  for (int64_t i = 0; i < 2; ++i) {
    const std::span<const uint8_t> stream = streams.stream(i).value();
    std::vector<uint8_t> copy(stream.begin(), stream.end());
    if (i == 1) copy.back() ^= 1;
    writer.add(copy);
  }
  writer.finish(before.pictures());
  write_text(c.file, {bytes.begin(), bytes.end()});
  const ProgramResult stopped = c.decompress({"-o", c.out});
  CHECK(stopped.exit_code == 1);
  CHECK(stopped.out.empty());
  CHECK(stopped.err == fmt::format("combiner: {}: damaged: 1 of 2 pictures: picture 1 (b/c/2); "
                                   "--keep-going unpacks the others; 1 of 2 pictures are in {}\n",
                                   c.file, c.out));
  CHECK(read_image(c.out + "a/0.png") == c.images[0].second);
  CHECK_FALSE(fs::exists(c.out + "b"));

  const std::string npz = (c.folder / "out.npz").string();
  CHECK(c.decompress({"-o", npz}).exit_code == 1);
  CHECK_FALSE(fs::exists(npz));
}

// A change of any sum or rounding makes the files that people have packed unreadable. If that is
// meant, the file's version must be another one.
TEST_CASE("compress: the same file whatever instructions are used, and it stays so") {
  const Case c;
  REQUIRE(c.compress({c.pictures}).exit_code == 0);
  const std::string bytes = read_text(c.file);
  if (kernels_in_use(Precision::f32) == "FMA")
    CHECK(sha256_of_file(c.file) ==
          "5a751491281faa43de079932be5de76f84d45d561d76e0cfebbd58ea604eaee4");
  int compared = 0;
  for (const InstructionSet set : kInstructionSets) {
    if (set > instruction_set_cap()) continue;
    const Capped capped(set);  // which the program is told, too
    if (kernels_in_use(Precision::f32) != "FMA") continue;
    INFO(name(set));
    CHECK(c.compress({c.pictures}).exit_code == 0);
    CHECK(read_text(c.file) == bytes);
    CHECK(c.decompress({"--test"}).exit_code == 0);
    ++compared;
  }
  if (compared < 2) NOTE_SKIPPED("there is one instruction set with fused multiply-add");
}

TEST_CASE("compress and decompress: an interrupt leaves nothing") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path()).string();
  const fs::path pictures = folder / "in", packed = folder / "packed";
  fs::create_directory(pictures);
  fs::create_directory(packed);
  for (int i = 0; i < 100; ++i)
    write_png(pictures / fmt::format("{}.png", i), {32, 32, std::vector<uint8_t>(3072)});
  const std::string file = (packed / "file.cmb").string();
  RunningProgram program({"compress", "--model", slow, pictures.string(), "-o", file});
  REQUIRE(opens_file_in(program, packed));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK(result.out.empty());
  // Sooner or later; the first while it looks at the pictures.
  CHECK_THAT(result.err,
             contains("combiner: interrupted while the pictures were looked at: "
                      "nothing is written\n") ||
                 contains(fmt::format("combiner: interrupted: {} is not written\n", file)));
  CHECK(fs::is_empty(packed));

  const CodedHeader header = {
      "slow", sha256_of_file(slow), Precision::f32, kernels_in_use(Precision::f32), 32, 32};
  std::string bytes;
  CodedFileWriter writer(
      header, [&](std::span<const uint8_t> more) { bytes.append(more.begin(), more.end()); });
  for (int i = 0; i < 100; ++i) writer.add({1});
  writer.finish(std::vector<CodedPicture>(100, {32, 32, {}, {}}));
  const fs::path out = folder / "out";
  fs::create_directory(out);
  RunningProgram unpacking({"decompress", "--model", slow,
                            write_text(folder / "x.cmb", bytes).string(), "-o",
                            (out / "out.npz").string()});
  REQUIRE(opens_file_in(unpacking, out));
  unpacking.send(SIGINT);
  const ProgramResult unpacked = unpacking.wait();
  CHECK(unpacked.exit_code == 130);
  CHECK(unpacked.out.empty());
  CHECK_THAT(unpacked.err, contains("combiner: interrupted: nothing is written\n"));
  CHECK(fs::is_empty(out));
}

TEST_CASE("decompress: a file that is cut short while it is read is named as the reason") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path()).string();
  const CodedHeader header = {
      "slow", sha256_of_file(slow), Precision::f32, kernels_in_use(Precision::f32), 32, 32};
  std::string bytes;
  CodedFileWriter writer(
      header, [&](std::span<const uint8_t> more) { bytes.append(more.begin(), more.end()); });
  Random random(6);
  for (int i = 0; i < 20; ++i) writer.add(random.bytes(20000));
  writer.finish(std::vector<CodedPicture>(20, {32, 32, {}, {}}));
  const fs::path file = write_text(folder / "x.cmb", bytes), out = folder / "out";
  fs::create_directory(out);
  RunningProgram program({"decompress", "--model", slow, file.string(), "--batch", "1", "-o",
                          (out / "out.npz").string()});
  REQUIRE(opens_file_in(program, out));
  fs::resize_file(file, 0);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 1);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, contains("combiner: a file was cut short, or can't be read any more"));
}

TEST_CASE("compress and decompress: refusals") {
  const Case c(false);
  CHECK(c.compress({c.pictures}).exit_code == 0);
  const auto other = (golden_folder() / "logsparse.safetensors").string();
  const ProgramResult model = run_combiner({"decompress", "--model", other, c.file, "--test"});
  CHECK(model.exit_code == 1);
  CHECK_THAT(model.err, contains("was made with pixel_mixed.safetensors, SHA-256 ") &&
                            contains("name the model that it was made with by --model"));
  std::string text = read_text(c.file);
  const auto misused = [&](std::vector<std::string> more, const char* complaint) {
    const ProgramResult result = c.decompress(std::move(more));
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains(complaint));
  };
  misused({}, "nothing says where the pictures go; give --output, or --test to only try");
  misused({"--test", "-o", c.out}, "--output and --test can't both be given");
  misused({"-o", ""}, "--output: \"\" is not DIR/|FILE");
  CHECK(c.decompress({"-o", (c.folder / "x.zip").string()}).exit_code == 2);
  CHECK(c.decompress({"-o", (c.folder / "x.bin").string()}).exit_code == 1);
  CHECK_FALSE(fs::exists(c.folder / "x.bin"));
  CHECK(read_text(c.file) == text);
  CHECK(run_combiner({"compress", c.pictures, "-o", c.pictures + "/x.cmb"}).exit_code == 2);

  // What compress hasn't made isn't overwritten.
  const std::string picture = (c.folder / "mine.png").string();
  write_text(picture, "a picture");
  const ProgramResult over = run_combiner({"compress", c.pictures, "-o", picture});
  CHECK(over.exit_code == 2);
  CHECK_THAT(over.err, contains("mine.png is there already and is not a file that compress made"));
  CHECK(read_text(picture) == "a picture");
  // A name that is too long for a file's once it ends in .png.
  const std::string longest(252, 'n');
  fs::copy(c.pictures + "/b/c/2", c.pictures + "/" + longest);
  CHECK_THAT(c.compress({c.pictures}).err,
             contains("nnn.png is too long for a file's name") && contains("; rename it"));
  fs::remove(c.pictures + "/" + longest);
  // Where another program has packed such a name, the other pictures can still be unpacked.
  write_text(c.file, repacked(text, [&](CodedHeader&, std::vector<CodedPicture>& pictures) {
               pictures[0].name = longest;
             }));
  CHECK_THAT(c.decompress({"-o", c.out}).err, contains("nnn.png is too long for a file's name"));
  CHECK(c.decompress({"-o", c.out, "--only", "1"}).exit_code == 0);
  CHECK(read_image(c.out + "b/c/2.png") == c.images[1].second);
  // Kernels with other results would unpack other pictures.
  write_text(c.file, repacked(text, [](CodedHeader& header, std::vector<CodedPicture>&) {
               header.kernels = "other kernels";
             }));
  const ProgramResult kernels = c.decompress({"-o", c.out});
  CHECK(kernels.exit_code == 1);
  CHECK_THAT(kernels.err, contains("was made in f32 with other kernels; here are ") &&
                              contains(", whose results may differ"));
  write_text(c.file, text);

  // Two pictures that would be one file.
  fs::copy(c.pictures + "/b/c/2", c.pictures + "/b/c/2.png");
  const ProgramResult clash = c.compress({c.pictures});
  CHECK(clash.exit_code == 1);
  CHECK_THAT(clash.err, contains("two pictures would be unpacked as b/c/2.png"));
  CHECK(c.compress({(c.folder / "none").string()}).exit_code == 1);
  CHECK(read_text(c.file) == text);
}

}  // namespace
}  // namespace combiner

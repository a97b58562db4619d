#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "catch.h"
#include "cli/run_program.h"
#include "cli/slow_model.h"
#include "combiner/sampler.h"
#include "cpu/features.h"
#include "cpu/limits.h"
#include "data_folders.h"
#include "file_text.h"
#include "image/contact_sheet.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "instruction_sets.h"
#include "model/random_model.h"
#include "temp_folder.h"
#include "wait_until.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

const std::string kModel = (golden_folder() / "pixel_mixed.safetensors").string();
constexpr int kWidth = 6, kHeight = 3;

ProgramResult run_sample(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"sample", "--model", kModel, "--precision", "f32"});
  return run_combiner(arguments);
}

std::vector<Image> images_of_seed(uint64_t seed, int64_t count) {
  std::vector<Image> images(static_cast<size_t>(count));
  SampleEvents events;
  events.image_done = [&](int64_t index, Image image) {
    images[static_cast<size_t>(index)] = std::move(image);
  };
  sample(Model(load_weights(kModel), Precision::f32, 1), {.count = count, .seed = seed}, events);
  return images;
}

// The names and contents of the files in a folder.
std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ostringstream bytes;
    bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    files[entry.path().filename().string()] = bytes.str();
  }
  return files;
}

TEST_CASE("sample: draws the seed's images on one sheet") {
  const TempFolder folder;
  const std::string path = (folder / "sheet.png").string();
  const std::vector<Image> images = images_of_seed(7, 6);
  const auto check_sheet = [&](std::vector<std::string> more, size_t count, int rows, int columns,
                               int scale) {
    INFO(fmt::format("{}", fmt::join(more, " ")));
    more.insert(more.end(), {"--seed", "7", "-o", path});
    const ProgramResult result = run_sample(more);
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK(result.out.starts_with(
        fmt::format("{}: {} image{} of seed 7, ", path, count, count == 1 ? "" : "s")));
    const Image sheet = read_image(path);
    CHECK(sheet == contact_sheet(std::span(images).first(count), rows, columns, 2, scale));
    CHECK(files_of(folder.path()).size() == 1);
  };
  constexpr int kDefaultScale = 96 / kWidth;
  check_sheet({"-n", "5"}, 5, 2, 3, kDefaultScale);
  check_sheet({"-n", "2", "--scale", "1"}, 2, 1, 2, 1);
  check_sheet({"-n", "1", "--scale", "5"}, 1, 1, 1, 5);
  check_sheet({"--grid", "2x3"}, 6, 2, 3, kDefaultScale);
  check_sheet({"--grid", "4x2", "-n", "5"}, 5, 4, 2, kDefaultScale);
}

TEST_CASE("sample: a sheet of the smallest images can be drawn again, too") {
  const TempFolder folder;
  const std::string model = (folder / "one.safetensors").string();
  Random random(1);
  save_weights(random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 1, 1), random),
               DType::f32, model);
  const std::string sheet = (folder / "sheet.png").string(),
                    again = (folder / "again.png").string();
  CHECK(run_combiner({"sample", "--model", model, "-n", "4", "-o", sheet}).exit_code == 0);
  CHECK(run_combiner({"sample", "--model", model, "--like", sheet, "-o", again}).exit_code == 0);
  CHECK(read_image(sheet) == read_image(again));
}

TEST_CASE("sample: by default 16 images on samples.png") {
  const TempFolder folder;
  const ProgramResult help = run_combiner({"sample", "--help"});
  CHECK_THAT(help.out, contains("samples.png"));
  const std::string path = (folder / "SHEET.PNG").string();
  CHECK(run_sample({"-o", path, "--scale", "1"}).exit_code == 0);
  const Image sheet = read_image(path);
  CHECK(sheet.width == 4 * kWidth + 5 * 2);
  CHECK(sheet.height == 4 * kHeight + 5 * 2);
}

TEST_CASE("sample: a folder of images is the same for all batches and threads") {
  const TempFolder folder;
  const std::vector<Image> images = images_of_seed(3, 5);
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.end(), {"--seed", "3", "-o", (folder / name).string() + "/"});
    const ProgramResult result = run_sample(more);
    CHECK(result.exit_code == 0);
    // A small machine has no processors for all of the threads.
    CHECK((result.err.empty() || result.err.starts_with("--threads 3: this process may use")));
    return files_of(folder / name);
  };
  const auto files = draw("a/b", {"-n", "5"});
  REQUIRE(files.size() == 5);
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string name = fmt::format("{:05}.png", i);
    REQUIRE(files.contains(name));
    CHECK(read_image(folder / "a/b" / name) == images[i]);
  }
  CHECK(draw("one", {"-n", "5", "--batch", "1", "--threads", "1"}) == files);
  CHECK(draw("many", {"-n", "5", "--batch", "2", "--threads", "3"}) == files);
  // Write into an existing folder, named without the slash. The other images must stay.
  const std::string again = (folder / "one").string();
  CHECK(run_sample({"-n", "2", "--seed", "4", "-o", again}).exit_code == 0);
  const auto mixed = files_of(again);
  CHECK(mixed.size() == 5);
  CHECK(mixed.at("00000.png") != files.at("00000.png"));
  CHECK(mixed.at("00004.png") == files.at("00004.png"));
}

TEST_CASE("sample: threads beyond the processors that may be used are said and not started") {
  const TempFolder folder;
  const std::string sheet = (folder / "x.png").string();
  const ProgramResult result =
      run_sample({"-n", "4", "--seed", "1", "--threads", "1024", "-o", sheet});
  CHECK(result.exit_code == 0);
  CHECK(result.err == fmt::format("--threads 1024: this process may use {0} processor{1}, so {0} "
                                  "thread{1}\n",
                                  usable_threads(), usable_threads() == 1 ? "" : "s"));
}

std::string sha256(const std::vector<uint8_t>& bytes) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> hash;
  ::SHA256(bytes.data(), bytes.size(), hash.data());
  return fmt::format("{:02x}", fmt::join(hash, ""));
}

// A change of any sum or rounding on the way to an image changes images that people have drawn. If
// that is meant, replace the hashes, which are of the sheets' pixels.
TEST_CASE("sample: the images of a seed in f32 are the same on all processors, and stay so") {
#if defined(__x86_64__)
  if (!processor_features().avx2) SKIP_TEST("this machine has no fused multiply-add");
#endif
  const TempFolder folder;
  const std::string path = (folder / "sheet.png").string();
  for (const auto& [model, hash] : {
           std::pair("axial_mixture",
                     "d12324ccd8ac9d1106d6e711327d002c1762cc8d4c3fe82213a5141ab9d75d0d"),
           {"logsparse", "9b8b371c018565de947c63a7e58ae82ed55d3e2bb01afdef3bd115952b401269"},
           {"pixel_mixed", "b19bf6181584e220488c32b6263f1612efec7ac50a4ba717302d7b843fc7aff5"},
           {"rotary_pixel_rowmajor",
            "2a041f2508b4ada055022fa96a839fb0d617991202b381a889d268c966ae6691"},
       })
    for (const InstructionSet set :
         {InstructionSet::avx2, InstructionSet::avx512, InstructionSet::native}) {
      INFO(model << ", " << name(set));
      const Capped capped(set);
      const std::string weights = (golden_folder() / model).string() + ".safetensors";
      const ProgramResult result =
          run_combiner({"sample", "--model", weights, "--precision", "f32", "--seed", "5", "-n",
                        "64", "--scale", "1", "-o", path});
      CHECK(result.exit_code == 0);
      CHECK(sha256(read_image(path).pixels) == hash);
    }
}

TEST_CASE("sample: a random seed is printed and reproduces the images") {
  const TempFolder folder;
  const ProgramResult first = run_sample({"-n", "2", "-o", (folder / "a/").string()});
  const ProgramResult second = run_sample({"-n", "2", "-o", (folder / "b/").string()});
  CHECK(first.exit_code == 0);
  REQUIRE(first.err.starts_with("seed "));
  CHECK(first.err != second.err);
  CHECK(files_of(folder / "a") != files_of(folder / "b"));
  const std::string seed = first.err.substr(5, first.err.size() - 6);
  CHECK_THAT(first.out, contains("2 images of seed " + seed + ","));
  CHECK(run_sample({"-n", "2", "--seed", seed, "-o", (folder / "c/").string()}).err.empty());
  CHECK(files_of(folder / "a") == files_of(folder / "c"));
}

TEST_CASE("sample: temperature, top-k and top-p affect the drawn values") {
  const TempFolder folder;
  const auto draw = [&](const std::string& seed, std::vector<std::string> more) {
    const std::string path = (folder / "x.png").string();
    more.insert(more.end(), {"-n", "1", "--seed", seed, "-o", path});
    CHECK(run_sample(more).exit_code == 0);
    return read_image(path);
  };
  const Image likeliest = draw("1", {"--temperature", "0"});
  CHECK(draw("2", {"--temperature", "0"}) == likeliest);
  CHECK(draw("2", {"--top-k", "1"}) == likeliest);
  CHECK(draw("2", {"--top-p", "1e-6"}) == likeliest);
  CHECK(draw("2", {}) != likeliest);
  CHECK(draw("2", {"--top-k", "100"}) != likeliest);
  CHECK(draw("18446744073709551615", {}) != draw("2", {}));
}

TEST_CASE("sample: a wrong command line exits with 2, draws nothing and leaves nothing") {
  const TempFolder folder;
  const std::string png = (folder / "x.png").string();
  const std::string inside = (folder / "inside/").string();
  struct WrongUse {
    std::vector<std::string> arguments;
    std::string complaint;
  };
  const std::vector<WrongUse> wrong = {
      {{"-n", "0", "-o", png}, "0 is not a whole number from 1"},
      {{"-n", "x", "-o", png}, "x is not a whole number"},
      {{"-n", "9223372036854775807", "-o", inside}, "--count"},
      {{"--seed", "-1", "-o", png}, "--seed: -1 is not a whole number"},
      {{"--seed", "1.5", "-o", png}, "--seed: 1.5 is not a whole number"},
      {{"--seed", "18446744073709551616", "-o", png},
       "is out of range; expected a whole number of 0 or more"},
      {{"--temperature", "-0.5", "-o", png}, "--temperature: -0.5 is not a number of 0 or more"},
      {{"--temperature", "nan", "-o", png}, "nan is not a number"},
      {{"--temperature", "warm", "-o", png}, "--temperature"},
      {{"--top-k", "0", "-o", png}, "--top-k: 0 is not a whole number from 1 to 256"},
      {{"--top-k", "257", "-o", png}, "257 is not a whole number"},
      {{"--top-p", "0", "-o", png}, "--top-p: 0 is not a number above 0 and at most 1"},
      {{"--top-p", "1.5", "-o", png}, "1.5 is not a number"},
      {{"--batch", "0", "-o", png}, "0 is not a whole number"},
      {{"--batch", "3000000000", "-o", png}, "--batch"},
      {{"--threads", "0", "-o", png}, "--threads"},
      {{"--precision", "int4", "-o", png}, "--precision"},
      {{"--grid", "4", "-o", png}, "--grid: 4 is not of the form 4x8"},
      {{"--grid", "4x", "-o", png}, "--grid: 4x is not"},
      {{"--grid", "x4", "-o", png}, "--grid: x4 is not"},
      {{"--grid", "0x4", "-o", png}, "--grid: 0x4 is not"},
      {{"--grid", "4x4x4", "-o", png}, "--grid: 4x4x4 is not"},
      {{"--grid", "-2x-2", "-o", png}, "--grid"},
      {{"--grid", "2x2", "-n", "5", "-o", png}, "--grid: 2x2 has no place for 5 images"},
      {{"--grid", "2x2", "-o", inside}, "--grid and --scale are for a sheet"},
      {{"--scale", "2", "-o", inside}, "--grid and --scale are for a sheet"},
      {{"--scale", "0", "-o", png}, "--scale"},
      {{"-o", (folder / "x").string()}, "neither ends in .png (a sheet) nor in / (a folder)"},
      {{"-o", (folder / "x.jpg").string()}, "neither ends in .png"},
      {{"-o", ""}, "neither ends in .png"},
      {{"-o", png, "--preview", (folder / "x.jpg").string()}, "x.jpg does not end in .png"},
      {{"-o", png, "--preview", png}, "is, or is in, the --output"},
      {{"-o", inside, "--preview", inside + "x.png"}, "is, or is in, the --output"},
      {{"-o", "-", "--json"}, "both write to standard output"},
      {{"--first", "-1", "-o", png}, "--first"},
      {{"--colour", "-o", png}, "--colour"},
  };
  for (const WrongUse& use : wrong) {
    INFO(fmt::format("combiner sample {}", fmt::join(use.arguments, " ")));
    const ProgramResult result = run_sample(use.arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(use.complaint));
    CHECK_THAT(result.err, contains("See combiner sample --help."));
  }
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("sample: an output that can't be written is reported before drawing") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path()).string();
  std::ofstream(folder / "file") << "text";
  fs::create_directories(folder / "taken/00000.png");
  const auto fails = [&](std::vector<std::string> arguments, const std::string& complaint) {
    arguments.insert(arguments.begin(), {"sample", "--model", slow, "--seed", "1", "-n", "100000"});
    const auto start = std::chrono::steady_clock::now();
    const ProgramResult result = run_combiner(arguments);
    INFO(fmt::format("{}", fmt::join(arguments, " ")));
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(complaint));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::minutes(1));  // instead of a day
  };
  fails({"-o", (folder / "absent/x.png").string()}, "absent/x.png: can't create the file");
  fails({"-o", (folder / "file/x.png").string()}, "file/x.png: can't create the file");
  fails({"-o", (folder / "file/y/").string()}, "can't make the folder");
  fails({"-o", (folder / "taken").string()}, "00000.png: is a folder");
  const std::string sheet = (folder / "x.png").string();
  fails({"-o", sheet, "--scale", "64"}, "is too large; let --output be a folder");
  fails({"-o", sheet, "--grid", "20000x20000"}, "is too large; let --output be a folder");
  CHECK_FALSE(fs::exists(folder / "absent"));
  CHECK_FALSE(fs::exists(folder / "x.png"));
}

TEST_CASE("sample: a failing write is a failure") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  const TempFolder folder;
  fs::create_directory(folder / "images");
  fs::create_symlink("/dev/full", folder / "sheet.png");
  fs::create_symlink("/dev/full", folder / "images/00001.png");
  for (const fs::path& path : {folder / "sheet.png", folder / "images"}) {
    const ProgramResult result = run_sample({"-n", "3", "--seed", "1", "-o", path.string()});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains("can't write the file: No space left"));
  }
}

TEST_CASE("sample: an unusable model is refused") {
  const TempFolder folder;
  ModelConfig grey;
  grey.image = {2, 2, 1};
  grey.tokens = Tokens::subpixel;
  grey.start_token = 0;
  grey.embed_dim = 4;
  grey.num_layers = 1;
  grey.num_heads = 1;
  grey.mlp_dim = 4;
  grey.attention = {Attention::full};
  save_weights(Weights(grey), DType::f32, folder / "grey.safetensors");
  for (const auto& [model, complaint] : {std::pair("grey.safetensors", "1 channel"),
                                         std::pair("absent.safetensors", "No such file")}) {
    const ProgramResult result = run_combiner(
        {"sample", "--model", (folder / model).string(), "-o", (folder / "x.png").string()});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(folder / "x.png"));
  }
}

TEST_CASE("sample: an interrupt keeps the finished images of a folder") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path(), {16, 16, 3}).string();
  const fs::path images = folder / "images", again = folder / "again";
  RunningProgram program({"sample", "--model", slow, "--seed", "1", "-n", "1000", "--batch", "1",
                          "-o", images.string() + "/"});
  wait_until([&] { return fs::exists(images / "00000.png"); });
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK(result.out.empty());
  const auto files = files_of(images);
  REQUIRE(files.size() >= 1);
  CHECK(files.size() < 1000);
  for (const auto& [name, bytes] : files) {
    CHECK(name.ends_with(".png"));
    CHECK(read_image(images / name).width == 16);
  }
  const std::string last = files.rbegin()->first;
  CHECK(run_combiner({"sample", "--model", slow, "--seed", "1", "--first",
                      fmt::format("{}", std::stoi(last)), "-n", "1", "-o", again.string() + "/"})
            .exit_code == 0);
  CHECK(read_image(again / last) == read_image(images / last));
  // Behind lines of progress, if it took more than a minute.
  CHECK(result.err.ends_with(fmt::format("combiner: interrupted: {} of 1000 images are in {}/\n",
                                         files.size(), images.string())));
}

TEST_CASE("sample: an image that can't be written costs none of those before it") {
  const TempFolder folder;
  const std::string images = (folder / "images/").string();
  fs::create_directories(images + "00002.png");
  const ProgramResult result =
      run_sample({"-n", "3", "--seed", "1", "--batch", "1", "--threads", "1", "-o", images});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("00002.png: is a folder") &&
                             contains("; 2 of 3 images are in " + images + "\n"));
  CHECK(fs::exists(images + "00001.png"));
}

TEST_CASE("sample: an interrupt before the first row leaves no sheet") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path(), {4, 1024, 3}).string();
  const fs::path sheets = folder / "sheets";
  fs::create_directory(sheets);
  RunningProgram program(
      {"sample", "--model", slow, "--seed", "1", "-n", "4", "-o", (sheets / "sheet.png").string()});
  REQUIRE(opens_file_in(program, sheets));  // as it first checks that it can
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK(result.out.empty());
  CHECK(result.err == "combiner: interrupted: no sheet is written\n");
  CHECK(fs::is_empty(sheets));
}

TEST_CASE("sample: an interrupt leaves a sheet of what is drawn") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path()).string();
  const fs::path sheet = write_text(folder / "sheet.png", "an older sheet");
  const fs::path preview = folder / "preview.png";
  RunningProgram program({"sample", "--model", slow, "--seed", "1", "-n", "1000", "--batch", "1",
                          "--scale", "1", "-o", sheet.string(), "--preview", preview.string()});
  wait_until([&] { return fs::exists(preview); });
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK(result.out.empty());
  const fs::path partial = folder / "sheet.partial.png";
  CHECK_THAT(result.err, contains("of 1000 images are finished on " + partial.string()));
  CHECK(read_text(sheet) == "an older sheet");
  const Image drawn = read_image(partial);
  CHECK(drawn == read_image(preview));
  // The first image has at least a row, and the last has none.
  const auto pixel = [&](int x, int y) { return drawn.pixels[size_t{3} * (y * drawn.width + x)]; };
  bool coloured = false;
  for (int x = 2; x < 34; ++x) coloured = coloured || pixel(x, 2) != 224;
  CHECK(coloured);
  CHECK(pixel(2 + 34 * 7, 2 + 34 * 31) == 224);
  CHECK_THAT(run_combiner({"info", partial.string()}).out, contains("unfinished   true"));
}

TEST_CASE("sample: - is standard output") {
  const TempFolder folder;
  const fs::path path = write_text(folder / "out.png", "");
  const std::vector<std::string> draw = {"sample", "--model", kModel, "-n", "2",
                                         "--seed", "4",       "-o",   "-"};
  const ProgramResult result = RunningProgram(draw, path.string()).wait();
  CHECK(result.exit_code == 0);
  CHECK(result.err.starts_with("-: 2 images of seed 4, "));
  const std::string file = (folder / "file.png").string();
  CHECK(
      run_combiner({"sample", "--model", kModel, "-n", "2", "--seed", "4", "-o", file}).exit_code ==
      0);
  CHECK(files_of(folder.path()).at("out.png") == files_of(folder.path()).at("file.png"));
  if (!fs::exists("/dev/full")) return;
  const ProgramResult full = RunningProgram(draw, "/dev/full").wait();
  CHECK(full.exit_code == 1);
  CHECK_THAT(full.err, contains("can't write to standard output: No space left"));
  CHECK_FALSE(full.err.starts_with("-: "));
}

TEST_CASE("sample: --json says what was drawn and how") {
  const TempFolder folder;
  const std::string path = (folder / "x.png").string();
  const ProgramResult result =
      run_sample({"-n", "2", "--first", "5", "--seed", "18446744073709551615", "--top-k", "9",
                  "--json", "-o", path});
  REQUIRE(result.exit_code == 0);
  const auto json = nlohmann::json::parse(result.out);
  CHECK(json["output"] == path);
  CHECK(json["model"] == "pixel_mixed.safetensors");
  CHECK(json["seed"] == UINT64_MAX);
  CHECK(json["first"] == 5);
  CHECK(json["count"] == 2);
  CHECK(json["top_k"] == 9);
  CHECK(json["precision"] == "f32");
  // The program may have other instructions in use than this one: AMX's are emulated only here.
  CHECK_THAT(run_combiner({"--version"}).out,
             contains("in use: " + json["instructions"].get<std::string>() + "\n"));
  CHECK(json["images_per_second"] > 0);
}

TEST_CASE("sample: --first draws later images of the seed") {
  const TempFolder folder;
  const std::vector<Image> images = images_of_seed(3, 5);
  CHECK(run_sample({"-n", "2", "--first", "3", "--seed", "3", "-o", (folder / "later/").string()})
            .exit_code == 0);
  CHECK(files_of(folder / "later").size() == 2);
  for (const int i : {3, 4})
    CHECK(read_image(folder / fmt::format("later/{:05}.png", i)) == images[static_cast<size_t>(i)]);
}

TEST_CASE("sample: a preview ends as the sheet") {
  const TempFolder folder;
  const std::string sheet = (folder / "sheet.png").string();
  const std::string preview = (folder / "preview.png").string();
  const ProgramResult result =
      run_sample({"-n", "3", "--seed", "1", "-o", sheet, "--preview", preview});
  CHECK(result.exit_code == 0);
  CHECK(files_of(folder.path()).at("sheet.png") == files_of(folder.path()).at("preview.png"));
}

TEST_CASE("sample: a preview that can't be written any more does not end the drawing") {
  const TempFolder folder;
  const std::string slow = save_slow_model(folder.path()).string();
  fs::create_directory(folder / "previews");
  const fs::path preview = folder / "previews/p.png";
  RunningProgram program({"sample", "--model", slow, "--seed", "1", "-n", "3", "--batch", "1",
                          "--scale", "1", "-o", (folder / "sheet.png").string(), "--preview",
                          preview.string()});
  wait_until([&] { return fs::exists(preview); });
  std::error_code error;
  while (fs::exists(folder / "previews")) fs::remove_all(folder / "previews", error);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 0);
  CHECK(result.err.starts_with("no more previews: " + preview.string()));
  CHECK(read_image(folder / "sheet.png").width == 2 * 32 + 3 * 2);
}

TEST_CASE("sample: writes into a pipe") {
  const TempFolder folder;
  const std::string pipe = (folder / "pipe.png").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::string read;
  std::jthread reader([&] { read = read_text(pipe); });
  CHECK(run_sample({"-n", "2", "--seed", "1", "-o", pipe}).exit_code == 0);
  std::ofstream release(pipe, std::ios::in | std::ios::out);  // if nothing was written
  release.close();
  reader.join();
  const fs::path file = folder / "file.png";
  CHECK(run_sample({"-n", "2", "--seed", "1", "-o", file.string()}).exit_code == 0);
  CHECK(read == read_text(file));
}

TEST_CASE("sample: says which other pictures are in the folder") {
  const TempFolder folder;
  const std::string images = (folder / "images/").string();
  CHECK(run_sample({"-n", "5", "--seed", "1", "-o", images}).err.empty());
  const ProgramResult result = run_sample({"-n", "3", "--seed", "2", "-o", images});
  CHECK(result.exit_code == 0);
  CHECK(result.err == images + ": also holds 2 pictures not of this run: 00003.png, ...\n");
}

TEST_CASE("sample: --show without a terminal says so and draws") {
  const TempFolder folder;
  const ProgramResult result =
      run_sample({"-n", "1", "--seed", "1", "--show", "-o", (folder / "x.png").string()});
  CHECK(result.exit_code == 0);
  CHECK(result.err == "--show shows nothing: standard error is not a terminal\n");
  CHECK(fs::exists(folder / "x.png"));
}

TEST_CASE("sample: --like draws a sheet or one of its images again") {
  const TempFolder folder;
  const std::string sheet = (folder / "sheet.png").string();
  const std::string again = (folder / "again.png").string();
  CHECK(run_sample({"-n", "5", "--first", "2", "--seed", "9", "--temperature", "0.7", "--top-k",
                    "50", "--top-p", "0.93", "--grid", "3x2", "--scale", "3", "-o", sheet})
            .exit_code == 0);
  const ProgramResult result =
      run_combiner({"sample", "--model", kModel, "--like", sheet, "-o", again});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK_THAT(result.out, contains("5 images of seed 9,"));
  auto files = files_of(folder.path());
  CHECK(files.at("again.png") == files.at("sheet.png"));

  const std::string images = (folder / "images/").string();
  CHECK(run_combiner({"sample", "--model", kModel, "--like", sheet, "-o", images}).exit_code == 0);
  CHECK(files_of(images).size() == 5);
  const std::string one = images + "00004.png";
  CHECK(run_combiner({"sample", "--model", kModel, "--like", one, "-o", again}).exit_code == 0);
  files = files_of(folder.path());
  CHECK(files.at("again.png") == files_of(images).at("00004.png"));

  // A folder's image is compared, too.
  Image changed = read_image(one);
  changed.pixels[0] ^= 1;
  const std::string tampered = (folder / "tampered.png").string();
  write_png(tampered, changed, read_png_texts(one));
  const ProgramResult differs = run_combiner(
      {"sample", "--model", kModel, "--like", tampered, "-o", (folder / "new/").string()});
  CHECK(differs.exit_code == 1);
  CHECK_THAT(differs.err, contains("differs from " + tampered));

  // What is read is not overwritten.
  const ProgramResult over =
      run_combiner({"sample", "--model", kModel, "--like", one, "--seed", "8", "-o", images});
  CHECK(over.exit_code == 1);
  CHECK_THAT(over.err, contains("00004.png would be overwritten"));

  // What the command line says comes first.
  CHECK(run_combiner({"sample", "--model", kModel, "--like", one, "--seed", "8", "-o", again})
            .exit_code == 0);
  CHECK(read_image(again) != read_image(one));
  CHECK(run_combiner(
            {"sample", "--model", kModel, "--like", one, "-n", "4", "--scale", "1", "-o", again})
            .exit_code == 0);
  CHECK(read_image(again).width == 2 * kWidth + 3 * 2);
}

TEST_CASE("sample: --like says what differs") {
  const TempFolder folder;
  const std::string sheet = (folder / "sheet.png").string();
  const std::string again = (folder / "again.png").string();
  const std::string other = (golden_folder() / "pixel_rowmajor_plain.safetensors").string();
  CHECK(run_sample({"-n", "2", "--seed", "9", "-o", sheet}).exit_code == 0);
  const auto like = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"sample", "--like", sheet, "-o", again});
    return run_combiner(more);
  };
  SECTION("the shipped model") {
    const ProgramResult result = like({});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains("was drawn from pixel_mixed.safetensors, SHA-256 "));
    CHECK_THAT(result.err, contains("--model"));
    CHECK_FALSE(fs::exists(again));
  }
  SECTION("a model that the user names") {
    const ProgramResult result = like({"--model", other});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.err, contains("was drawn from pixel_mixed.safetensors, SHA-256 "));
    CHECK(fs::exists(again));
  }
  SECTION("pixels") {
    Image changed = read_image(sheet);
    changed.pixels.back() ^= 1;
    write_png(sheet, changed, read_png_texts(sheet));
    const ProgramResult result = like({"--model", kModel});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains("again.png differs from " + sheet));
  }
  SECTION("instructions in bf16") {
    if (!cpu_features().avx512) SKIP_TEST("there are no fewer instructions");
    CHECK(like({"--model", kModel, "--precision", "bf16", "-o", sheet}).exit_code == 2);
    CHECK(run_combiner({"sample", "--model", kModel, "--precision", "bf16", "-n", "2", "-o", sheet})
              .exit_code == 0);
    const ProgramResult result = like({"--model", kModel, "--isa", "avx2"});
    CHECK_THAT(result.err, contains("with AVX2, pixels may differ"));
  }
  SECTION("nothing to be like") {
    write_png(sheet, {1, 1, {1, 2, 3}});
    CHECK_THAT(like({}).err, contains("does not say how it was made"));
    CHECK(run_sample({"-n", "1", "--no-metadata", "-o", sheet}).exit_code == 0);
    CHECK(read_png_texts(sheet).empty());
    CHECK_THAT(like({}).err, contains("does not say how it was made"));
    std::ofstream(sheet) << "text";
    CHECK_THAT(like({}).err, contains("is not a PNG file"));
    fs::remove(sheet);
    CHECK_THAT(like({}).err, contains("No such file"));
  }
  SECTION("the output is the input") {
    const std::string before = files_of(folder.path()).at("sheet.png");
    for (const char* option : {"-o", "--preview"}) {
      const ProgramResult result =
          run_combiner({"sample", "--like", sheet, option, (folder / "./sheet.png").string()});
      CHECK(result.exit_code == 2);
      CHECK_THAT(result.err, contains("which is read; write elsewhere"));
    }
    CHECK(files_of(folder.path()).at("sheet.png") == before);
  }
}

TEST_CASE("sample: an interrupted sheet is drawn to its end under its own name") {
  const TempFolder folder;
  const fs::path sheet = folder / "sheet.png", partial = folder / "sheet.partial.png";
  REQUIRE(run_sample({"-n", "2", "--seed", "9", "-o", sheet.string()}).exit_code == 0);
  const std::string drawn = read_text(sheet);
  nlohmann::json recipe = nlohmann::json::parse(read_png_texts(sheet).at(1).text);
  recipe["unfinished"] = true;
  write_png(partial, read_image(sheet), std::array{PngText{"combiner", recipe.dump()}});
  fs::remove(sheet);
  const auto go_on = [&] { return run_sample({"--like", partial.string(), "-o", sheet.string()}); };
  CHECK(go_on().exit_code == 0);
  CHECK(read_text(sheet) == drawn);
  // A picture that is finished is read only.
  fs::rename(sheet, partial);
  const ProgramResult refused = go_on();
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, contains("sheet.partial.png, which is read; write elsewhere"));
  CHECK(read_text(partial) == drawn);
}

TEST_CASE("sample: --like refuses what no run of combiner can have written") {
  const TempFolder folder;
  const std::string sheet = (folder / "sheet.png").string();
  CHECK(run_sample({"-n", "2", "--seed", "9", "-o", sheet}).exit_code == 0);
  const Image image = read_image(sheet);
  const std::string text = read_png_texts(sheet).at(1).text;
  const auto error = [&](const std::string& changed) {
    write_png(sheet, image, std::array{PngText{"combiner", changed}});
    const ProgramResult result = run_combiner({"sample", "--like", sheet});
    CHECK(result.exit_code == 1);
    return result.err;
  };
  CHECK_THAT(error(""), contains("what it says of how it was made is malformed"));
  CHECK_THAT(error("[1]"), contains("malformed"));
  CHECK_THAT(error(std::string(100000, '[')), contains("malformed"));
  const auto field = [&](const std::string& key, const nlohmann::json& value) {
    nlohmann::json json = nlohmann::json::parse(text);
    json[key] = value;
    return error(json.dump());
  };
  CHECK_THAT(field("count", 0), contains("count is 0; expected a whole number from 1"));
  CHECK_THAT(field("count", UINT64_MAX), contains("count is 18446744073709551615"));
  CHECK_THAT(field("count", INT64_MAX / 2), contains("count is 4611686018427387903"));
  CHECK_THAT(field("count", 1.5), contains("count is 1.5"));
  CHECK_THAT(field("first", -1), contains("first is -1"));
  CHECK_THAT(field("seed", "x"), contains("seed is \"x\""));
  CHECK_THAT(field("seed", -1), contains("seed is -1"));
  CHECK_THAT(field("top_k", 257), contains("top_k is 257"));
  CHECK_THAT(field("top_p", 0), contains("top_p is 0"));
  CHECK_THAT(field("temperature", -1), contains("temperature is -1"));
  CHECK_THAT(field("precision", "f64"), contains("precision is \"f64\""));
  CHECK_THAT(field("sheet", 3), contains("malformed"));
  CHECK_THAT(field("sheet", {{"rows", 0}, {"columns", 1}, {"gap", 0}, {"scale", 1}}),
             contains("rows is 0"));
  CHECK_THAT(field("command", "complete"), contains("was made by combiner \"complete\""));
  CHECK_THAT(field("command", 3), contains("was made by combiner 3"));
  const std::string escape = "\x1b]0;title\a";
  for (const char* key : {"program", "command", "model", "sha256", "precision", "kernels"})
    CHECK(field(key, escape).find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace combiner

#include <fmt/format.h>
#include <signal.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "base/plural.h"
#include "catch.h"
#include "cli/run_program.h"
#include "dataset/npy_header.h"
#include "file_text.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "model/golden_cases.h"
#include "temp_folder.h"
#include "wait_until.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinRel;

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// A golden model, and its images in a folder of pictures.
struct Golden {
  GoldenCase expected;
  TempFolder folder;
  std::string model, data;

  explicit Golden(const std::string& name) : expected(find(name)) {
    model = (golden_folder() / (name + ".safetensors")).string();
    data = (folder / "pictures").string();
    fs::create_directory(data);
    const ImageShape& shape = expected.weights.config.image;
    for (size_t i = 0; i < expected.images(); ++i) {
      const auto pixels = expected.image(expected.pixels, i);
      write_png(fs::path(data) / fmt::format("{}, \"{}\".png", i, name),
                {shape.width, shape.height, {pixels.begin(), pixels.end()}});
    }
  }

  double bits_per_dim(size_t image) const {
    double nats = 0;
    for (const float value : expected.image(expected.nats, image)) nats += value;
    return nats / std::numbers::ln2 / static_cast<double>(expected.dims());
  }

 private:
  static GoldenCase find(const std::string& name) {
    for (GoldenCase& golden : golden_cases())
      if (golden.name == name) return std::move(golden);
    throw std::runtime_error("no golden case " + name);
  }
};

// With all weights zero, the model predicts all 256 values with equal probability: 8 bits/dim.
void save_uniform_model(const fs::path& path, int side, int embed_dim, int layers) {
  ModelConfig config;
  config.image = {side, side, 3};
  config.embed_dim = embed_dim;
  config.num_layers = layers;
  config.num_heads = 2;
  config.mlp_dim = 4 * embed_dim;
  config.attention.assign(static_cast<size_t>(layers), Attention::axial_rowmajor);
  config.context.previous = true;
  save_weights(Weights(config), DType::f32, path);
}

void write_cifar10(const fs::path& path, size_t records) {
  std::ofstream(path, std::ios::binary) << std::string(records * 3073, '\0');
}

TEST_CASE("eval: JSON and CSV agree with the golden file") {
  for (const char* name : {"pixel_rowmajor_all", "subpixel_context", "pixel_full_stem"}) {
    INFO(name);
    const Golden golden(name);
    const fs::path csv = golden.folder / "images.csv";
    const ProgramResult result =
        run_combiner({"eval", "--model", golden.model, "--data", golden.data, "--precision", "f32",
                      "--json", "--csv", csv.string()});
    CHECK(result.err.empty());
    REQUIRE(result.exit_code == 0);

    const Json json = Json::parse(result.out);
    const double first = golden.bits_per_dim(0), second = golden.bits_per_dim(1);
    CHECK_THAT(json["bits_per_dim"].get<double>(), WithinRel((first + second) / 2, 1e-6));
    CHECK_THAT(json["stderr"].get<double>(), WithinRel(std::abs(first - second) / 2, 1e-4));
    CHECK(json["images"] == 2);
    CHECK(json["images_per_second"].get<double>() > 0);
    CHECK(json["precision"] == "f32");
    CHECK(json["model"] == golden.model);
    CHECK(json["data"] == golden.data);
    double channels = 0;
    for (const Json& bits : json["bits_per_dim_channels"]) channels += bits.get<double>() / 3;
    CHECK(json["bits_per_dim_channels"].size() == 3);
    CHECK_THAT(channels, WithinRel((first + second) / 2, 1e-6));

    const std::vector<std::string> rows = lines_of(text_of(csv));
    REQUIRE(rows.size() == 3);
    CHECK(rows[0] == "index,name,nats_r,nats_g,nats_b,bits_per_dim");
    for (size_t i = 0; i < 2; ++i) {
      const std::string start =
          fmt::format("{},\"{}/{}, \"\"{}\"\".png\",", i, golden.data, i, name);
      REQUIRE(rows[i + 1].starts_with(start));
      double red = 0, green = 0, blue = 0, bits = 0;
      std::istringstream numbers(rows[i + 1].substr(start.size()));
      char comma;
      numbers >> red >> comma >> green >> comma >> blue >> comma >> bits;
      CHECK_FALSE(numbers.fail());
      CHECK_THAT(bits, WithinRel(golden.bits_per_dim(i), 1e-5));
      CHECK_THAT(
          (red + green + blue) / std::numbers::ln2 / static_cast<double>(golden.expected.dims()),
          WithinRel(bits, 1e-5));
    }
  }
}

TEST_CASE("eval: says on standard error which files of a folder it ignores") {
  const TempFolder folder;
  const std::string model = (folder / "uniform.safetensors").string();
  const fs::path data = folder / "data";
  save_uniform_model(model, 4, 8, 1);
  for (const char* name : {"cat/1", "dog/2", "stray"}) {
    fs::create_directories((data / name).parent_path());
    write_png(data / name, {4, 4, std::vector<uint8_t>(48)});  // told by its content
  }
  fs::create_symlink("loop.png", data / "loop.png");
  const std::string refused =
      run_combiner({"eval", "--model", model, "--data", (data / "loop.png").string()}).err;
  CHECK_THAT(refused, contains("loop.png: can't open the data set: Too many levels"));
  const ProgramResult result =
      run_combiner({"eval", "--model", model, "--data", data.string(), "--json"});
  CHECK(result.exit_code == 0);
  CHECK(Json::parse(result.out)["images"] == 3);
  CHECK(result.err == data.string() +
                          ": 3 images, 1 ignored (can't be read, Too many levels of symbolic "
                          "links: loop.png)\n");
}

TEST_CASE("eval: results do not depend on the number of threads") {
  const Golden golden("pixel_mixed");
  const auto figures = [&](const char* threads) {
    const ProgramResult result = run_combiner(
        {"eval", "--model", golden.model, "--data", golden.data, "--threads", threads, "--json"});
    REQUIRE(result.exit_code == 0);
    const Json json = Json::parse(result.out);
    return Json{json["bits_per_dim"], json["stderr"], json["bits_per_dim_channels"]}.dump();
  };
  const std::string one = figures("1");
  CHECK(figures("2") == one);
  CHECK(figures("7") == one);
}

TEST_CASE("eval: prints a table for CIFAR-10 in both precisions, with split and limit") {
  const TempFolder folder;
  const std::string model = (folder / "uniform.safetensors").string();
  save_uniform_model(model, 32, 8, 1);
  write_cifar10(folder / "data_batch_1.bin", 3);
  for (const char* batch : {"2", "3", "4", "5"})
    fs::copy_file(folder / "data_batch_1.bin", folder / fmt::format("data_batch_{}.bin", batch));
  write_cifar10(folder / "test_batch.bin", 2);
  const auto eval = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"eval", "--model", model, "--data",
                                          folder.path().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_combiner(arguments);
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    return result.out;
  };
  for (const char* precision : {"auto", "f32", "bf16", "int8"}) {
    const std::string table = eval({"--precision", precision});
    CHECK_THAT(table, contains("bits/dim   8.0000 +- 0.0000\n"));
    for (const char* channel : {"red", "green", "blue"})
      CHECK_THAT(table, contains(fmt::format("  {:<8} 8.0000\n", channel)));
    CHECK_THAT(table, contains("images     2\n"));
    CHECK_THAT(table, contains("images/s"));
  }
  CHECK_THAT(eval({"--split", "train"}), contains("images     15\n"));
  const std::string one = eval({"--limit", "1"});
  CHECK_THAT(one, contains("images     1\n"));
  CHECK_THAT(one, contains("bits/dim   8.0000\n"));  // one image has no standard error
  const Json json = Json::parse(eval({"--limit", "1", "--json", "--split", "train"}));
  CHECK(json["stderr"].is_null());
  CHECK(json["split"] == "train");
}

TEST_CASE("eval: unusable data is refused") {
  const Golden golden("pixel_mixed");  // 3 x 6 pixels
  write_png(golden.folder / "large.png", {8, 8, std::vector<uint8_t>(192)});
  std::ofstream(golden.folder / "half.bin", std::ios::binary) << std::string(4000, '\1');
  const auto eval = [&](const fs::path& data, std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", "--model", golden.model, "--data", data.string()});
    return run_combiner(more);
  };
  const auto fails = [&](const fs::path& data, const std::vector<std::string>& more,
                         const std::string& complaint) {
    INFO(data);
    const ProgramResult result = eval(data, more);
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(data.string()));
    CHECK_THAT(result.err, contains(complaint));
  };
  fails(golden.folder / "absent", {}, "can't open the data set");
  fails(golden.folder / "large.png", {}, "use --resize");
  fails(golden.folder / "half.bin", {"--resize"}, "3073");

  const ProgramResult resized = eval(golden.folder / "large.png", {"--resize", "--json"});
  CHECK(resized.exit_code == 0);
  CHECK(Json::parse(resized.out)["images"] == 1);
}

TEST_CASE("eval: a table that can't be written is a failure and leaves no file") {
  const Golden golden("pixel_mixed");
  const auto csv_to = [&](const fs::path& path) {
    return run_combiner(
        {"eval", "--model", golden.model, "--data", golden.data, "--csv", path.string()});
  };
  const ProgramResult no_folder = csv_to(golden.folder / "absent/images.csv");
  CHECK(no_folder.exit_code == 1);
  CHECK(no_folder.out.empty());
  CHECK_THAT(no_folder.err, contains("can't create the file"));
  CHECK_FALSE(fs::exists(golden.folder / "absent"));

  // The evaluation fails on its second image, so no table of the first may be left.
  std::ofstream(fs::path(golden.data) / "z.png") << "\x89PNG\r\n\x1A\nand no picture";
  const fs::path csv = golden.folder / "images.csv";
  CHECK(csv_to(csv).exit_code == 1);
  CHECK(std::distance(fs::directory_iterator(golden.folder.path()), {}) == 1);  // only the pictures

  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  fs::remove(fs::path(golden.data) / "z.png");
  const ProgramResult full = csv_to("/dev/full");
  CHECK(full.exit_code == 1);
  CHECK_THAT(full.err, contains("/dev/full: can't write the file"));
  const ProgramResult full_output =
      RunningProgram({"eval", "--model", golden.model, "--data", golden.data}, "/dev/full").wait();
  CHECK(full_output.exit_code == 1);
  CHECK_THAT(full_output.err, contains("can't write to standard output"));
}

// The numbers of a float32 array, whose shape must be this.
std::vector<float> numbers_of(const fs::path& path, const std::vector<int64_t>& shape) {
  const std::string file = text_of(path);
  const NpyHeader header =
      parse_npy_header({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, path.string());
  CHECK(header.dtype == "<f4");
  CHECK(header.shape == shape);
  std::vector<float> numbers((file.size() - header.bytes) / sizeof(float));
  std::memcpy(numbers.data(), file.data() + header.bytes, numbers.size() * sizeof(float));
  return numbers;
}

TEST_CASE("eval: maps hold each sub-pixel's bits, and change no figure") {
  const Golden golden("pixel_mixed");
  const ImageShape& shape = golden.expected.weights.config.image;
  const fs::path maps = golden.folder / "new/maps", csv = golden.folder / "images.csv";
  std::vector<std::string> arguments = {"eval",   "--model",   golden.model,
                                        "--data", golden.data, "--precision",
                                        "f32",    "--csv",     csv.string()};
  const auto figures = [&] {
    const ProgramResult result = run_combiner(arguments);
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    return result.out.substr(0, result.out.find("images/s")) + text_of(csv);
  };
  const std::string without = figures();
  arguments.insert(arguments.end(), {"--maps", maps.string()});
  CHECK(figures() == without);

  CHECK_THAT(run_combiner({"info", (maps / "map-00000.png").string()}).out,
             contains("command      eval\n") && contains("index        0\n"));

  const auto count = static_cast<size_t>(std::distance(fs::directory_iterator(golden.data), {}));
  const std::vector<std::string> rows = lines_of(text_of(csv));
  REQUIRE(rows.size() == count + 1);
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> bits =
        numbers_of(maps / fmt::format("bits-{:05}.npy", i), {shape.height, shape.width, 3});
    REQUIRE(bits.size() == golden.expected.dims());
    const std::span<const float> nats = golden.expected.image(golden.expected.nats, i);
    double sum = 0;
    for (size_t j = 0; j < bits.size(); ++j) {
      CHECK_THAT(bits[j], Catch::Matchers::WithinAbs(nats[j] / std::numbers::ln2, 1e-4));
      sum += bits[j];
    }
    const double figure = std::stod(rows[i + 1].substr(rows[i + 1].rfind(',') + 1));
    CHECK_THAT(sum / static_cast<double>(bits.size()), WithinRel(figure, 1e-6));
    CHECK(read_image(maps / fmt::format("map-{:05}.png", i)).width > 2 * 256);
  }
  CHECK(read_image(maps / "extremes.png").width > 128);
  const auto files = static_cast<size_t>(std::distance(fs::directory_iterator(maps), {}));
  CHECK(files == 2 * count + 1);  // no temporary file is left
}

TEST_CASE("eval: maps that can't be written are a failure, but cost no figures") {
  const Golden golden("pixel_mixed");
  const fs::path maps = golden.folder / "maps", csv = golden.folder / "images.csv";
  fs::create_directories(maps / "bits-00001.npy");
  const ProgramResult result =
      run_combiner({"eval", "--model", golden.model, "--data", golden.data, "--csv", csv.string(),
                    "--maps", maps.string(), "--threads", "1", "--json"});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("bits-00001.npy"));
  CHECK(Json::parse(result.out)["images"] == golden.expected.images());
  CHECK(lines_of(text_of(csv)).size() == golden.expected.images() + 1);
  CHECK(fs::exists(maps / "map-00000.png"));
  CHECK_FALSE(fs::exists(maps / "extremes.png"));
}

TEST_CASE("eval: maps that an earlier run left are mentioned") {
  const Golden golden("pixel_mixed");
  const std::string maps = (golden.folder / "maps").string();
  std::vector<std::string> arguments = {"eval",      "--model", golden.model, "--data",
                                        golden.data, "--maps",  maps};
  CHECK(run_combiner(arguments).err.empty());
  CHECK(run_combiner(arguments).err.empty());
  arguments.insert(arguments.end(), {"--limit", "1"});
  const ProgramResult smaller = run_combiner(arguments);
  CHECK(smaller.exit_code == 0);
  const auto others = static_cast<int64_t>(golden.expected.images()) - 1;
  CHECK(smaller.err == fmt::format("{}: also holds {} of an earlier run, from map-00001.png on\n",
                                   maps, plural(others, "map")));
}

TEST_CASE("eval: a folder of maps that can't be made, or that holds data, is refused") {
  const Golden golden("pixel_mixed");
  const std::string picture = (fs::directory_iterator(golden.data)->path()).string();
  const auto refused = [&](const std::string& data, const std::string& maps, int exit_code,
                           const std::string& complaint) {
    const ProgramResult result =
        run_combiner({"eval", "--model", golden.model, "--data", data, "--maps", maps});
    CHECK(result.exit_code == exit_code);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
  };
  refused(golden.data, golden.data, 2, "would replace data or become data");
  refused(golden.data, golden.data + "/maps/new", 2, "would replace data or become data");
  refused(golden.data, golden.data + "/../pictures", 2, "would replace data or become data");
  const std::string link = (golden.folder / "link").string();
  fs::create_directory_symlink(golden.data, link);
  refused(golden.data, link + "/maps", 2, "would replace data or become data");
  refused(picture, golden.data, 2, "would replace data or become data");
  refused(picture, picture, 2, "would replace data or become data");
  const fs::path file = golden.folder / "file";
  std::ofstream(file) << "text";
  refused(golden.data, file.string(), 1, "file");
  refused(golden.data, (file / "maps").string(), 1, "can't make the folder");
  CHECK(text_of(file) == "text");
  CHECK_FALSE(fs::exists(fs::path(golden.data) / "maps"));

  // Beside the data is fine.
  CHECK(run_combiner({"eval", "--model", golden.model, "--data", golden.data, "--maps",
                      golden.folder.path().string()})
            .exit_code == 0);
}

TEST_CASE("eval: the table replaces nothing that is read") {
  const TempFolder folder;
  const std::string model = (folder / "model.safetensors").string();
  const std::string data = (folder / "images.bin").string();
  save_uniform_model(model, 32, 64, 4);
  write_cifar10(data, 2);
  const std::string before = read_text(data) + read_text(model);
  fs::create_hard_link(data, folder / "link.csv");
  for (const std::string& csv : {data, model, (folder / "link.csv").string()}) {
    const ProgramResult result =
        run_combiner({"eval", "--model", model, "--data", data, "--csv", csv});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains("which is read; write elsewhere"));
  }
  CHECK((read_text(data) + read_text(model) == before));
}

TEST_CASE("eval: an interrupt keeps the finished images") {
  const TempFolder folder;
  const fs::path model = folder / "model.safetensors", data = folder / "images.bin";
  const fs::path csv_folder = folder / "tables";
  fs::create_directory(csv_folder);
  save_uniform_model(model, 32, 64, 4);
  write_cifar10(data, 5000);  // takes far longer than the test waits
  const fs::path maps = folder / "maps";
  RunningProgram program({"eval", "--model", model.string(), "--data", data.string(), "--csv",
                          (csv_folder / "images.csv").string(), "--maps", maps.string(), "--json"});
  wait_until([&] { return fs::exists(maps / "map-00000.png"); });
  program.send(SIGINT);
  const ProgramResult result = program.wait();

  CHECK(result.exit_code == 130);
  const Json json = Json::parse(result.out);
  const auto images = json["images"].get<size_t>();
  CHECK(images >= 1);
  CHECK(images < 5000);
  CHECK_THAT(json["bits_per_dim"].get<double>(), WithinRel(8.0, 1e-6));
  CHECK(result.err == fmt::format("combiner: interrupted: the figures are those of {} of 5000 "
                                  "images\n",
                                  images));
  CHECK(lines_of(text_of(csv_folder / "images.csv")).size() == images + 1);
  CHECK(fs::exists(maps / "extremes.png"));
  CHECK(static_cast<size_t>(std::distance(fs::directory_iterator(maps), {})) == 2 * images + 1);
}

TEST_CASE(
    "eval: pictures that can't be used end it before it begins, or are left out and counted") {
  const Golden golden("pixel_mixed");
  const auto eval = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"eval", "--model", golden.model, "--data", golden.data, "--precision", "f32"});
    return run_combiner(more);
  };
  const Json whole = Json::parse(eval({"--json"}).out);
  CHECK_FALSE(whole.contains("left_out"));
  write_png(fs::path(golden.data) / "a large one.png", {8, 8, std::vector<uint8_t>(192)});
  const std::string bytes = text_of(fs::path(golden.data) / "a large one.png");
  for (int i = 0; i < 6; ++i)
    std::ofstream(fs::path(golden.data) / fmt::format("cut {}.png", i), std::ios::binary)
        << bytes.substr(0, bytes.size() / 2);

  const ProgramResult refused = eval({});
  CHECK(refused.exit_code == 1);
  CHECK(refused.out.empty());
  CHECK_THAT(refused.err, contains(golden.data));

  const ProgramResult rest = eval({"--json", "--skip-bad"});
  REQUIRE(rest.exit_code == 0);
  const Json json = Json::parse(rest.out);
  CHECK(json["bits_per_dim"] == whole["bits_per_dim"]);
  CHECK(json["images"] == 2);
  CHECK(json["left_out"]["count"] == 7);
  CHECK(json["left_out"]["first"].size() == 5);
  const std::vector<std::string> said = lines_of(rest.err);
  REQUIRE(said.size() == 6);
  CHECK(said[0].starts_with("left out: " + golden.data + "/a large one.png: has 8x8 pixels"));
  CHECK(said[1].starts_with("left out: " + golden.data +
                            "/cut 0.png: is a PNG picture that is damaged"));
  CHECK(said[5] == "7 images left out in all");
  CHECK_THAT(eval({"--skip-bad"}).out, contains("images     2 (7 left out)\n"));
  // The first ones that can be used.
  CHECK(Json::parse(eval({"--json", "--skip-bad", "--limit", "3"}).out)["images"] == 2);
}

TEST_CASE("eval: a picture that goes bad meanwhile costs no figures") {
  const TempFolder folder;
  const fs::path model = folder / "model.safetensors", data = folder / "data";
  save_uniform_model(model, 32, 64, 4);
  fs::create_directory(data);
  constexpr int kImages = 50;
  for (int i = 0; i < kImages; ++i)
    write_png(data / fmt::format("{:02}.png", i), {32, 32, std::vector<uint8_t>(3072)});
  for (const bool skip : {false, true}) {
    const fs::path maps = folder / fmt::format("maps{}", skip);
    std::vector<std::string> words = {
        "eval",      "--model", model.string(), "--data", data.string(),
        "--threads", "1",       "--json",       "--maps", maps.string()};
    if (skip) words.emplace_back("--skip-bad");
    RunningProgram program(words);
    wait_until([&] { return fs::exists(maps / "map-00000.png"); });
    fs::rename(data / "49.png", folder / "away");
    const ProgramResult result = program.wait();
    fs::rename(folder / "away", data / "49.png");
    INFO(result.err);
    CHECK(result.exit_code == (skip ? 0 : 1));
    const Json json = Json::parse(result.out);
    CHECK(json["images"] == kImages - 1);
    CHECK_THAT(json["bits_per_dim"].get<double>(), WithinRel(8.0, 1e-6));
    CHECK_THAT(result.err, contains("49.png: can't"));
    if (skip)
      CHECK(json["left_out"]["count"] == 1);
    else
      CHECK_THAT(result.err, contains("\nThe figures are those of 49 of 50 images\n"));
  }
}

}  // namespace
}  // namespace combiner

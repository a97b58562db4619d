#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "cli/run_program.h"
#include "data_folders.h"
#include "file_text.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "model/random_model.h"
#include "temp_folder.h"
#include "wait_until.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinAbs;

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kHeight = 6, kWidth = 5;

// A folder with a model and three pictures of its size.
struct Place {
  TempFolder folder;
  std::string model = (folder / "model.safetensors").string();
  std::string data = (folder / "pictures").string();
  std::string output = (folder / "small.safetensors").string();

  Place() {
    Random random(1);
    save_weights(
        random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, kHeight, kWidth),
                       random),
        DType::bf16, model, {{"note", "kept"}});
    fs::create_directory(data);
    for (int i = 0; i < 3; ++i)
      write_png(fs::path(data) / fmt::format("{}.png", i),
                {kWidth, kHeight, random.bytes(3 * kWidth * kHeight)});
  }

  ProgramResult quantize(std::vector<std::string> more) const {
    more.insert(more.begin(), {"quantize", "--model", model, "-o", output});
    return run_combiner(more);
  }
  Json eval(const std::string& weights, const std::string& precision) const {
    return Json::parse(run_combiner({"eval", "--model", weights, "--data", data, "--precision",
                                     precision, "--json"})
                           .out);
  }
};

TEST_CASE("quantize: writes a smaller model with int8 weights") {
  const Place place;
  const ProgramResult result = place.quantize({});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK(result.out == fmt::format("{}: {} bytes, from {}\n", place.output,
                                  fs::file_size(place.output), fs::file_size(place.model)));
  CHECK(SafetensorsFile::open(place.output).metadata().at("note") == "kept");

  const ProgramResult info = run_combiner({"info", "--model", place.output, "--json"});
  REQUIRE(info.exit_code == 0);
  const Json json = Json::parse(info.out);
  CHECK(json["dtypes"] == Json{"BF16", "F32", "I8"});
  CHECK(json["file_bytes"] == fs::file_size(place.output));
  const Json memory = json["sampling_weights_and_state_bytes"];
  CHECK(memory["int8"]["batch_1"] < memory["f32"]["batch_1"]);

  // Quantizing again changes nothing.
  const std::string again = (place.folder / "again.safetensors").string();
  CHECK(run_combiner({"quantize", "--model", place.output, "-o", again}).exit_code == 0);
  CHECK(read_text(again) == read_text(place.output));
}

TEST_CASE("quantize: measures the same as eval") {
  const Place place;
  const ProgramResult result = place.quantize({"--data", place.data, "--json"});
  CHECK(result.err.empty());
  REQUIRE(result.exit_code == 0);
  const Json json = Json::parse(result.out);
  CHECK(json["model"] == place.model);
  CHECK(json["output"] == place.output);
  CHECK(json["model_bytes"] == fs::file_size(place.model));
  CHECK(json["output_bytes"] == fs::file_size(place.output));
  CHECK(json["data"] == place.data);
  CHECK(json["split"] == "test");
  CHECK(json["images"] == 3);
  const auto f32 = json["bits_per_dim_f32"].get<double>();
  const auto int8 = json["bits_per_dim_int8"].get<double>();
  CHECK(f32 != int8);
  CHECK(json["difference"] == int8 - f32);
  const auto kl = json["kl_divergence"].get<double>();
  CHECK(kl > 0);
  CHECK(kl < 0.05);

  CHECK_THAT(place.eval(place.model, "f32")["bits_per_dim"].get<double>(), WithinAbs(f32, 1e-5));
  const Json of_model = place.eval(place.model, "int8"),
             of_output = place.eval(place.output, "int8");
  CHECK(of_model["precision"] == "int8");
  CHECK(of_model["bits_per_dim"] == of_output["bits_per_dim"]);
  CHECK_THAT(of_output["bits_per_dim"].get<double>(), WithinAbs(int8, 1e-5));
  // The same weights with inputs that are not rounded. Rounding the inputs matters as little as
  // rounding the weights.
  CHECK_THAT(place.eval(place.output, "f32")["bits_per_dim"].get<double>(), WithinAbs(int8, 0.01));

  const ProgramResult table = place.quantize({"--data", place.data, "--limit", "2"});
  CHECK(table.exit_code == 0);
  for (const char* part : {"bits/dim ", " in f32\n", " in int8\n", "difference ",
                           " nats a sub-pixel, KL(f32 || int8)\n", "images       2\n"})
    CHECK_THAT(table.out, contains(part));
}

TEST_CASE("quantize: a quantized model can be sampled") {
  const Place place;
  REQUIRE(place.quantize({}).exit_code == 0);
  const auto sample = [&](const std::string& model, const std::string& precision) {
    const fs::path sheet = place.folder / "sheet.png";
    CHECK(run_combiner({"sample", "--model", model, "-n", "2", "--seed", "1", "--precision",
                        precision, "-o", sheet.string()})
              .exit_code == 0);
    return read_image(sheet);
  };
  const bool same_int8 = sample(place.output, "int8") == sample(place.model, "int8");
  const bool same_f32 = sample(place.output, "f32") == sample(place.model, "f32");
  CHECK(same_int8);
  CHECK_FALSE(same_f32);
}

TEST_CASE("quantize: impossible requests are refused and leave nothing behind") {
  const Place place;
  const auto fails = [&](const ProgramResult& result, const std::string& complaint) {
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(place.output));
  };
  fails(run_combiner({"quantize", "--model", "absent", "-o", place.output}), "absent");
  fails(run_combiner({"quantize", "--model", place.model, "-o", place.model}),
        place.model + ": is the model itself");
  fails(place.quantize({"--data", (place.folder / "none").string()}), "can't open the data set");
  fails(run_combiner({"quantize", "--model", place.model, "-o",
                      (place.folder / "absent/small.safetensors").string()}),
        "can't create the file");
  CHECK(load_weights(place.model).config.image.width == kWidth);  // the model itself is untouched

  const auto misused = [&](const std::vector<std::string>& arguments, const std::string& text) {
    const ProgramResult result = run_combiner(arguments);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains(text));
  };
  misused({"quantize", "--model", place.model}, "--output is required");
  misused({"quantize", "-o", place.output, "--limit", "3"}, "--limit requires --data");
  misused({"train", "--precision", "int8", "--config", "c.json", "--data", place.data, "-o", "w",
           "--steps", "1"},
          "int8 weights can't be trained");
  CHECK(std::distance(fs::directory_iterator(place.folder.path()), {}) == 2);
}

TEST_CASE("quantize: only weights are replaced") {
  const Place place;
  for (const char* output : {"-", "/dev/stdout"}) {
    const ProgramResult result = run_combiner({"quantize", "--model", place.model, "-o", output});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains(" is standard output, where the results go; name a file"));
  }
  write_text(place.output, "a letter");
  const ProgramResult result = place.quantize({});
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("it would be overwritten; choose another name"));
  CHECK(read_text(place.output) == "a letter");
  fs::copy_file(place.model, place.output, fs::copy_options::overwrite_existing);
  CHECK(place.quantize({}).exit_code == 0);
}

TEST_CASE("quantize: an interrupt keeps the finished images") {
  const Place place;
  for (int i = 3; i < 2000; ++i)  // takes longer than the test waits
    fs::create_hard_link(fs::path(place.data) / "0.png",
                         fs::path(place.data) / fmt::format("{}.png", i));
  RunningProgram program({"quantize", "--model", place.model, "-o", place.output, "--data",
                          place.data, "--threads", "1", "--json"});
  wait_until([&] { return fs::exists(place.output); });
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK_NOTHROW(load_weights(place.output));
  const Json json = Json::parse(result.out);
  if (!json.contains("images")) {
    CHECK(result.err == "combiner: interrupted: no image is finished\n");
    return;
  }
  const auto images = json["images"].get<int>();
  CHECK(images < 2000);
  CHECK(result.err ==
        fmt::format("combiner: interrupted: the figures are those of {} of 2000 images\n", images));
}

}  // namespace
}  // namespace combiner

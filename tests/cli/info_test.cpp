#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "cli/run_program.h"
#include "data_folders.h"
#include "image/write_png.h"
#include "model/attention/attention.h"
#include "temp_folder.h"
#include "training/tiny_training.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

using Json = nlohmann::json;

// Other programs counted the parameters and computed the checksum of this file.
const std::string kModel = (golden_folder() / "pixel_rowmajor_all.safetensors").string();
constexpr int64_t kEmbedding = 26656, kBlocks = 4880, kHead = 22096;
constexpr const char* kSha256 = "d0655856807cf9df59f194209a889477304d79f3d7f541f494683adcad6ad75a";

TEST_CASE("info: prints JSON") {
  const ProgramResult result = run_combiner({"info", "--model", kModel, "--json"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  const Json json = Json::parse(result.out);
  CHECK(json["model"] == kModel);
  CHECK(json["parameters"]["embedding"] == kEmbedding);
  CHECK(json["parameters"]["blocks"] == kBlocks);
  CHECK(json["parameters"]["head"] == kHead);
  CHECK(json["parameters"]["total"] == kEmbedding + kBlocks + kHead);
  CHECK(json["positions"] == 35);
  CHECK(json["dtypes"] == Json{"BF16"});
  CHECK(json["file_bytes"] == std::filesystem::file_size(kModel));
  CHECK(json["sha256"] == kSha256);
  CHECK(json["config"]["tokens"] == "pixel");
  CHECK(json["config"]["embed_dim"] == 16);

  // A batch of 64 holds the state of 63 more images than a batch of 1. The model's weights are
  // always held as floats.
  const ModelConfig config = load_weights(kModel).config;
  int64_t state = 0;
  for (const Attention attention : config.attention)
    state += attention_state_size<float>(attention, attention_shape(config));
  for (const auto& [precision, bytes] : {std::pair("f32", 4), std::pair("bf16", 2)}) {
    const Json memory = json["sampling_weights_and_state_bytes"][precision];
    const auto one = memory["batch_1"].get<int64_t>();
    CHECK(memory["batch_64"].get<int64_t>() - one == 63 * state * bytes);
    const int64_t weights = one - state * bytes;
    CHECK(weights > 4 * (kEmbedding + kBlocks + kHead));
    CHECK(weights < (4 + bytes) * (kEmbedding + kBlocks + kHead));
  }
}

TEST_CASE("info: prints a table") {
  const ProgramResult result = run_combiner({"info", "--model", kModel});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  for (const std::string& part :
       {fmt::format("parameters   {}\n", kEmbedding + kBlocks + kHead), std::string(kSha256),
        std::string("dtype        BF16\n"), std::string("positions    35 an image"),
        std::string("batch 64"), std::string(" MB in int8\n"), std::string("\"tokens\":\"pixel\"")})
    CHECK_THAT(result.out, contains(part));
}

TEST_CASE("info: a file that is not a model is refused") {
  const TempFolder folder;
  std::ofstream(folder / "notes.txt") << "These are no weights.";
  for (const auto& [path, complaint] :
       {std::pair((folder / "absent.safetensors").string(), "No such file"),
        std::pair((folder / "notes.txt").string(),
                  "is not a safetensors file; it is text that begins with")}) {
    const ProgramResult result = run_combiner({"info", "--model", path});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: " + path));
    CHECK_THAT(result.err, contains(complaint));
  }
}

TEST_CASE("info: describes configs and checkpoints, and names what it describes") {
  const TempFolder folder;
  const std::string config = write_text(folder / "tiny.json", to_json(tiny_config())).string();
  const ProgramResult of_config = run_combiner({"info", config});
  CHECK(of_config.exit_code == 0);
  const size_t parameters = Weights(tiny_config()).parameters.size;
  CHECK_THAT(of_config.out,
             contains(fmt::format("parameters   {}\n", parameters)) && contains("config       {"));
  CHECK(Json::parse(run_combiner({"info", config, "--json"}).out)["parameters"]["total"] ==
        parameters);
  write_text(folder / "tiny.txt", to_json(tiny_config()));
  CHECK(run_combiner({"info", (folder / "tiny.txt").string()}).exit_code == 0);

  std::filesystem::create_directory(folder / "pictures");
  const ImageShape shape = tiny_config().image;
  for (const char* name : {"0.png", "1.png"})
    write_png(folder / "pictures" / name,
              {shape.width, shape.height,
               std::vector<uint8_t>(size_t{3} * shape.width * shape.height, 9)});
  REQUIRE(run_combiner({"train", "--config", config, "--data", (folder / "pictures").string(),
                        "--validation-images", "1", "--batch", "1", "--steps", "1", "-o",
                        (folder / "tiny.safetensors").string()})
              .exit_code == 0);
  const std::string checkpoint = (folder / "tiny.checkpoint").string();
  const ProgramResult of_checkpoint = run_combiner({"info", checkpoint});
  CHECK(of_checkpoint.exit_code == 0);
  CHECK_THAT(of_checkpoint.out, contains("step         1\n") && contains("images       1\n") &&
                                    contains("options      {") && contains("config       {"));
  CHECK(Json::parse(run_combiner({"info", checkpoint, "--json"}).out)["step"] == 1);

  const std::string notes = write_text(folder / "notes.txt", "No weights.").string();
  CHECK_THAT(run_combiner({"info", notes}).err,
             contains("notes.txt: is text that begins with \"No weights.\"; expected a model's "
                      "weights, checkpoint or config (.json), or a PNG"));
}

TEST_CASE("info: a picture's text can't control the terminal") {
  const TempFolder folder;
  const std::string picture = (folder / "hostile.png").string();
  const Json made_by = {{"program", "combiner\x1b[2J"},
                        {"key\x1b]0;title\x07", "\u009b31m\nseed         7"},
                        {"list", Json::array({"\u009b31m", "\x7f"})}};
  constexpr bool kEnsureAscii = true;
  write_png(picture, {1, 1, {0, 0, 0}},
            std::vector<PngText>{{"combiner", made_by.dump(-1, ' ', kEnsureAscii)}});
  const ProgramResult result = run_combiner({"info", picture});
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.out, contains("program      combiner\\x1b[2J\n"));
  CHECK_THAT(result.out, contains("key\\x1b]0;title\\x07 \\x9b31m\\x0aseed         7\n"));
  CHECK_THAT(result.out, contains("list         [\"\\x9b31m\",\"\\x7f\"]\n"));
}

}  // namespace
}  // namespace combiner

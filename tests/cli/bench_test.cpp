#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "catch.h"
#include "cli/run_program.h"
#include "cpu/features.h"
#include "model/golden_cases.h"
#include "model/random_model.h"
#include "temp_folder.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinRel;

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string write_config(const fs::path& path, const ModelConfig& config) {
  std::ofstream(path) << to_json(config);
  return path.string();
}

ProgramResult bench(std::vector<std::string> more) {
  more.insert(more.begin(), {"bench", "--seconds", "0.02", "--repeats", "2", "--threads", "1"});
  return run_combiner(more);
}

void check_speed(const Json& row, int positions) {
  INFO(row.dump());
  const double images = row.at("images_per_second");
  CHECK(images > 0);
  CHECK_THAT(row.at("positions_per_second").get<double>(), WithinRel(images * positions, 1e-9));
  CHECK(row.at("fraction_of_peak") > 0);
  if (!row.at("peak_bytes").is_null()) CHECK(row.at("peak_bytes") >= 0);
  CHECK(row.at("spread") >= 0);
  CHECK(row.at("repeats") >= 1);
  CHECK(row.at("repeats") <= 2);
}

TEST_CASE("bench: prints JSON for a config") {
  const TempFolder folder;
  const ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 5, 6);
  const std::string path = write_config(folder / "config.json", config);
  const ProgramResult result = bench({"--config", path, "--json"});
  CHECK_THAT(result.err, contains(" measurements, about "));
  REQUIRE(result.exit_code == 0);
  const Json json = Json::parse(result.out);

  CHECK_FALSE(json.at("machine").at("cpu").get<std::string>().empty());
  CHECK(json.at("machine").at("threads") == 1);
  const Json& model = json.at("model");
  CHECK(model.at("source") == path);
  CHECK(model.at("config").at("embed_dim") == config.embed_dim);
  CHECK(model.at("positions") == 30);
  CHECK(model.at("product_operations_per_image") > 0);

  const Json& ceilings = json.at("ceilings");
  CHECK(ceilings.at("f32") > 0);
  CHECK(ceilings.at("bf16").is_null() != cpu_features().avx512_bf16);
  CHECK(ceilings.at("int8").is_null() != cpu_features().avx512_vnni);
  CHECK(ceilings.at("memory_bandwidth") > 0);

  std::set<std::pair<std::string, int64_t>> sampled;
  for (const Json& row : json.at("sample")) {
    check_speed(row, 30);
    const std::string precision = row.at("precision");
    CHECK(sampled.emplace(precision, row.at("batch")).second);
    CHECK(row.at("fraction_of_bandwidth") > 0);
    CHECK(row.at("weight_bytes") > 0);
    CHECK(row.at("state_bytes") > 0);
    CHECK(ceilings.at("cache_bandwidth").at(precision) > 0);
  }
  for (const char* precision : {"f32", "bf16", "int8"})
    for (const int64_t batch : {1, 2, 4, 16, 64, 256}) CHECK(sampled.contains({precision, batch}));

  const size_t precisions = cpu_features().avx512_bf16 ? 2 : 1;
  REQUIRE(json.at("eval").size() == precisions + 1);
  CHECK(json.at("eval").back().at("precision") == "int8");
  REQUIRE(json.at("train").size() == precisions);
  for (const char* section : {"eval", "train"}) {
    for (const Json& row : json.at(section)) check_speed(row, 30);
    CHECK(json.at(section).at(0).at("precision") == "f32");
  }
  CHECK(json.at("train").at(0).at("batch") == 4);
}

TEST_CASE("bench: prints a table of a model, with only the requested parts") {
  const std::string model = (golden_folder() / "pixel_rowmajor_all.safetensors").string();
  const ProgramResult all = bench({"--model", model});
  CHECK(all.exit_code == 0);
  for (const char* part : {"machine  ", ", 1 thread\n", "matrix products, f32",
                           "matrix products, int8", "reading memory", "sample  f32       1",
                           "sample  bf16    256", "eval    f32", "train   f32       4"})
    CHECK_THAT(all.out, contains(part));
  const bool none =
      all.out.find("matrix products, int8                        -\n") < all.out.size();
  CHECK(none != cpu_features().avx512_vnni);

  const ProgramResult some = bench({"--model", model, "--only", "eval,train", "--json"});
  CHECK(some.exit_code == 0);
  const Json json = Json::parse(some.out);
  CHECK_FALSE(json.contains("ceilings"));
  CHECK_FALSE(json.contains("sample"));
  CHECK(json.at("eval").at(0).at("images_per_second") > 0);
  CHECK(json.at("eval").at(0).at("fraction_of_peak").is_null());
  CHECK(json.at("train").at(0).at("fraction_of_peak").is_null());
}

TEST_CASE("bench: --quick measures less, and says for how long") {
  const std::string model = (golden_folder() / "pixel_rowmajor_all.safetensors").string();
  const ProgramResult result = run_combiner(
      {"bench", "--quick", "--model", model, "--only", "sample", "--threads", "1", "--json"});
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, contains("12 measurements, about 4 s, or more"));
  const Json json = Json::parse(result.out);
  CHECK(json.at("sample").size() == 12);
  for (const Json& row : json.at("sample")) {
    CHECK(row.at("batch") <= 16);
    CHECK(row.at("repeats") == 1);
  }
  const ProgramResult both = run_combiner({"bench", "--quick", "--seconds", "3"});
  CHECK(both.exit_code == 2);
  CHECK_THAT(both.err, contains("--seconds and --quick can't both be given"));
}

TEST_CASE("bench: a wrong command line is reported") {
  const auto fails = [](std::vector<std::string> arguments, const std::string& complaint) {
    arguments.insert(arguments.begin(), "bench");
    const ProgramResult result = run_combiner(arguments);
    INFO(complaint);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
    CHECK_THAT(result.err, contains("See combiner bench --help."));
  };
  fails({"--only", "eval,paint"}, "paint not in {ceilings,sample,eval,train}");
  fails({"--model", "a", "--config", "b"}, "--model");
  fails({"--repeats", "0"}, "0 is not a whole number of 1 or more");
  for (const char* seconds : {"0", "-1", "nan", "inf", "soon"})
    fails({"--seconds", seconds}, fmt::format("--seconds: {} is not a number from 0.001", seconds));
  fails({"--threads", "0"}, "--threads");
}

TEST_CASE("bench: an unusable config is refused") {
  const TempFolder folder;
  std::ofstream(folder / "config.json") << "{}";
  for (const auto& [name, complaint] :
       {std::pair("absent.json", "No such file"), std::pair("config.json", "missing")}) {
    const std::string path = (folder / name).string();
    const ProgramResult result = bench({"--config", path});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: " + path));
    CHECK_THAT(result.err, contains(complaint));
  }
}

TEST_CASE("bench: an interrupt prints the finished measurements") {
  const TempFolder folder;
  const std::string path = write_config(
      folder / "config.json", small_config(Tokens::pixel, Attention::axial_rowmajor, 5, 6));
  ProgramResult result;
  // Try again if the signal came before the program had installed its handler.
  for (int wait = 100; wait < 60'000; wait *= 2) {
    // Uninterrupted, this takes far longer than the test waits.
    RunningProgram program({"bench", "--config", path, "--seconds", "3000", "--json"});
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    program.send(SIGINT);
    result = program.wait();
    if (!result.err.empty()) break;
  }
  CHECK(result.exit_code == 130);
  CHECK_THAT(result.err, contains("combiner: interrupted: the figures are those of 0 of "));
  CHECK(Json::parse(result.out).at("sample").empty());
}

}  // namespace
}  // namespace combiner

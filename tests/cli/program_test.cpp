// Behaviour that all subcommands share.

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "cli/run_program.h"
#include "data_folders.h"
#include "image/write_png.h"
#include "temp_folder.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

TEST_CASE("program: --help and --version go to standard output") {
  const ProgramResult help = run_combiner({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.err.empty());
  for (const char* subcommand : {"bench", "eval", "info", "nearest", "sample", "train"})
    CHECK_THAT(help.out, contains(subcommand));

  const ProgramResult version = run_combiner({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.err.empty());
  CHECK(version.out.starts_with("combiner "));
  CHECK_THAT(version.out, contains("\nin use: "));

  const ProgramResult eval_help = run_combiner({"eval", "--help"});
  CHECK(eval_help.exit_code == 0);
  CHECK(eval_help.err.empty());
  for (const char* option : {"--model", "--data", "--split", "--limit", "--resize", "--precision",
                             "--threads", "--json", "--csv", "--maps"})
    CHECK_THAT(eval_help.out, contains(option));
}

TEST_CASE("program: --help names arguments in capitals, and says limits in words") {
  const auto help = [](const char* subcommand) { return run_combiner({subcommand, "--help"}).out; };
  CHECK_THAT(help("info"), contains("\n  FILE ") && !contains("FILE FILE"));
  CHECK_THAT(help("completion"), contains("\n  SHELL {bash,zsh,fish} REQUIRED"));
  CHECK_THAT(help("nearest"), contains("\n  IMAGE ... REQUIRED") && contains("--threads N "));
  for (const char* subcommand : {"bench", "eval", "nearest", "quantize"})
    CHECK_THAT(help(subcommand), !contains(" in ["));
}

// The runner's own cap, if it has one, comes first; the last counts.
TEST_CASE("program: --isa caps the instructions, before and after a subcommand") {
  const ProgramResult version = run_combiner({"--isa", "avx2", "--version"});
  CHECK(version.exit_code == 0);
  const std::string use = version.out.substr(version.out.find("in use: "));
  CHECK_THAT(use, !contains("AVX-512"));
  CHECK_THAT(use, !contains("AMX"));
  const TempFolder folder;
  const std::string model = (golden_folder() / "pixel_rowmajor_all.safetensors").string();
  const ProgramResult sampled =
      run_combiner({"sample", "-n", "1", "--model", model, "--isa", "avx2", "-o",
                    (folder / "one.png").string(), "--seed", "1"});
  CHECK(sampled.exit_code == 0);
  CHECK_THAT(sampled.out, contains("(bf16; "));
  CHECK_THAT(sampled.out, !contains("AVX-512"));
}

TEST_CASE("program: a wrong command line exits with 2 and an explanation") {
  struct WrongUse {
    std::vector<std::string> arguments;
    std::string complaint;
    std::string hint;
  };
  const std::vector<WrongUse> wrong = {
      {{}, "A subcommand is required", "See combiner --help."},
      {{"paint"}, "paint is not a subcommand", "See combiner --help."},
      {{"smaple"}, "smaple is not a subcommand; did you mean sample?\n", "See combiner --help."},
      {{"--", "paint"}, "paint is not a subcommand\n", "See combiner --help."},
      {{"--depth"}, "--depth is not an option of combiner\n", "See combiner --help."},
      {{"eval"}, "--data is required", "See combiner eval --help."},
      {{"eval", "x"}, "x is not an argument of eval\n", "See combiner eval --help."},
      {{"eval", "-"}, "- is not an argument of eval\n", "See combiner eval --help."},
      {{"eval", "--dta", "x"},
       "--dta is not an option of eval; did you mean --data?\n",
       "See combiner eval --help."},
      {{"info", "--depth", "3"}, "--depth is not an option of info\n", "See combiner info --help."},
      {{"info", "--jsno", "--isa", "mmx"}, "did you mean --json?\n", "info"},
      {{"sample", "--sede=1"},
       "--sede is not an option of sample; did you mean --seed?\n",
       "See combiner sample --help."},
      {{"eval", "-m", "x"},
       "-m is not an option of eval; did you mean --maps or --model?\n",
       "eval"},
      {{"eval", "-j"}, "-j is not an option of eval; did you mean --json?\n", "eval"},
      {{"info", "-v"}, "-v is not an option of info; did you mean --version?\n", "info"},
      {{"sample", "-m", "x"}, "did you mean --model?\n", "sample"},
      {{"sample", "-s", "1"}, "did you mean --scale or --seed or --show?\n", "sample"},
      {{"sample", "-t", "1"}, "-t is not an option of sample\n", "sample"},
      {{"sample", "-x"}, "-x is not an option of sample\n", "sample"},
      {{"sample", "--seed", "-1"}, "--seed: -1 is not a whole number of 0 or more\n", "sample"},
      {{"sample", "--ias", "avx2"}, "did you mean --isa?\n", "sample"},
      {{"--seed", "1", "sample"}, "--seed goes after sample, whose option it is\n", "sample"},
      {{"eval", "--data", "x", "--limit", "0"}, "0 is not a whole number of 1 or more", "eval"},
      {{"eval", "--data", "x", "--limit", "-3"}, "-3 is not a whole number", "eval"},
      {{"eval", "--data", "x", "--limit", "1.5"}, "1.5 is not a whole number", "eval"},
      {{"eval", "--data", "x", "--threads", "0"}, "--threads", "eval"},
      {{"eval", "--data", "x", "--threads", "1025"},
       "1025 is not a whole number from 1 to 1024\n",
       "eval"},
      {{"nearest", "x", "--data", "x", "--scale", "70"},
       "--scale: 70 is not a whole number from 1 to 64\n",
       "nearest"},
      {{"eval", "--data", "x", "--precision", "f64"}, "f64 not in {auto,f32,bf16,int8}", "eval"},
      {{"eval", "--data", "x", "--precision", "bf17"}, "did you mean bf16?\n", "eval"},
      {{"completion"}, "SHELL is required\n", "See combiner completion --help."},
      {{"completion", "sh"}, "sh not in {bash,zsh,fish}; did you mean", "completion"},
      {{"bench", "--only=sample,evla"}, "did you mean eval?\n", "bench"},
      {{"--isa", "mmx", "--version"},
       "mmx not in {avx2,avx512,avx512_bf16,native}",
       "See combiner"},
      {{"bench", "--model", "a", "--config", "b"},
       "--model and --config can't both be given\n",
       "bench"},
      {{"info", "--model"}, "--model needs a value: FILE\n", "info"},
      {{"eval", "--split"}, "--split needs a value: {train,test}\n", "eval"},
      {{"eval", "--data", "--json"},
       "--data: needs a value; --json is the name of an option\n",
       "eval"},
      {{"eval", "--data", ""}, "--data: \"\" is not PATH\n", "eval"},
      {{"info", ""}, "FILE: \"\" is not a file\n", "info"},
      {{"info", "--model", ""}, "--model: \"\" is not FILE\n", "info"},
      {{"sample", "--seed=", "3"}, "--seed: there is nothing after its =\n", "See combiner"},
      {{"sample", "-n", "1", "-n", "2"}, "--count is given 2 times; expected once\n", "sample"},
      {{"eval", "--data", "x", "--json=5"}, "--json takes no value\n", "eval"},
      {{"eval", "--data", "x", "--json=false"}, "--json takes no value\n", "eval"},
      {{"eval", "--data", "x", "--split", "two words"},
       "\"two words\" not in {train,test}\n",
       "eval"},
      {{"eval", "--data", "x", "--split", "both"}, "both not in {train,test}", "eval"},
  };
  for (const WrongUse& use : wrong) {
    INFO(fmt::format("combiner {}", fmt::join(use.arguments, " ")));
    const ProgramResult result = run_combiner(use.arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(use.complaint));
    CHECK_THAT(result.err, contains(use.hint));
  }
}

TEST_CASE("program: failing to write the output is a failure") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  const ProgramResult help = RunningProgram({"--help"}, "/dev/full").wait();
  CHECK(help.exit_code == 1);
  CHECK(help.err.starts_with("combiner: can't write to standard output: "));
}

ModelConfig tiny_config() {
  ModelConfig config;
  config.image = {2, 3, 3};
  config.embed_dim = 8;
  config.num_layers = 1;
  config.num_heads = 2;
  config.mlp_dim = 8;
  config.attention = {Attention::full};
  config.context.previous = true;
  return config;
}

TEST_CASE("program: finds the shipped model relative to its own path") {
  const TempFolder folder;
  struct Layout {
    fs::path program, model;
  };
  const Layout source_tree = {folder / "tree/build/release/combiner",
                              folder / "tree/models/cifar10.safetensors"};
  const Layout installed = {folder / "prefix/bin/combiner",
                            folder / "prefix/share/combiner/models/cifar10.safetensors"};
  for (const Layout& layout : {source_tree, installed}) {
    INFO(layout.program);
    fs::create_directories(layout.program.parent_path());
    fs::create_directories(layout.model.parent_path());
    fs::copy(COMBINER_PROGRAM, layout.program);

    const ProgramResult absent = RunningProgram({"info"}, "", layout.program.string()).wait();
    CHECK(absent.exit_code == 1);
    CHECK(absent.out.empty());
    CHECK_THAT(absent.err, contains(layout.model.string()));
    CHECK_THAT(absent.err, contains("--model"));

    save_weights(Weights(tiny_config()), DType::f32, layout.model);
    const ProgramResult found = RunningProgram({"info"}, "", layout.program.string()).wait();
    CHECK(found.err.empty());
    CHECK(found.exit_code == 0);
    CHECK_THAT(found.out, contains(layout.model.string()));
  }
}

TEST_CASE("program: lists the shipped models, and finds them by name") {
  const TempFolder folder;
  const fs::path program = folder / "prefix/bin/combiner";
  const fs::path models = folder / "prefix/share/combiner/models";
  fs::create_directories(program.parent_path());
  fs::create_directories(models);
  fs::copy(COMBINER_PROGRAM, program);
  const auto run = [&](const std::vector<std::string>& arguments) {
    return RunningProgram(arguments, "", program.string()).wait();
  };
  CHECK(run({"models"}).out == "name   pixels  parameters      size  bits/dim\n");
  CHECK(run({"models", "--json"}).out == "[]\n");

  const fs::path first = models / "cifar10.safetensors", second = models / "small.safetensors";
  Weights weights(tiny_config());
  save_weights(weights, DType::f32, first);
  weights.values.span()[0] = 1;
  save_weights(weights, DType::bf16, second);
  nlohmann::json listed = nlohmann::json::parse(run({"models", "--json"}).out);
  REQUIRE(listed.size() == 2);
  CHECK(listed[0]["name"] == "cifar10");
  CHECK(listed[1]["file"] == second.string());
  CHECK(listed[1]["parameters"] == weights.parameters.size);
  CHECK(listed[1]["evaluation"].is_null());

  // What eval says is shown, but not beside other weights.
  const std::string said = fmt::format(R"({{"sha256": {}, "bits_per_dim": 3.25, "images": 9}})",
                                       listed[1]["sha256"].dump());
  for (const char* name : {"cifar10.eval.json", "small.eval.json"})
    std::ofstream(models / name) << said;
  const std::string table = run({"models"}).out;
  CHECK_THAT(table, contains("cifar10      3x2       0.0 M    0.1 MB  not measured\n"));
  CHECK_THAT(table, contains("small        3x2       0.0 M    0.0 MB  3.250 on 9 images\n"));
  std::ofstream(models / "small.eval.json") << "no JSON";
  CHECK_THAT(run({"models"}).out, !contains("3.250"));

  CHECK_THAT(run({"info", "--model", "small"}).out, contains(second.string()));
  // What another of them has packed is unpacked by that.
  const std::string picture = (folder / "x.png").string(), packed = (folder / "x.cmb").string();
  write_png(picture, {3, 2, std::vector<uint8_t>(18, 7)});
  CHECK(run({"compress", "--model", "small", picture, "-o", packed}).exit_code == 0);
  const ProgramResult unpacked = run({"decompress", packed, "--test"});
  CHECK(unpacked.exit_code == 0);
  CHECK(unpacked.err == packed + ": was made with the shipped model small, so that is used\n");
  CHECK_THAT(run({"decompress", "--model", "cifar10", packed, "--test"}).err,
             contains("was made with small.safetensors, SHA-256 "));

  // Neither another program's models nor a folder of that name hides it.
  fs::create_directory(folder / "models");
  fs::copy(second, folder / "models/foreign.safetensors");
  fs::create_directory(folder / "small");
  const fs::path there = write_script(
      folder / "there",
      fmt::format("cd {} && exec {} \"$@\"", folder.path().string(), program.string()));
  const auto run_in_folder = [&](const std::vector<std::string>& arguments) {
    return RunningProgram(arguments, "", there.string()).wait();
  };
  CHECK_THAT(run_in_folder({"info", "--model", "small"}).out, contains(second.string()));
  // A training doesn't write over the shipped model that it begins with.
  const ProgramResult same = run({"train", "--init", "small", "--data", folder.path().string(),
                                  "-o", second.string(), "--steps", "1"});
  CHECK(same.exit_code == 2);
  CHECK_THAT(same.err, contains("--output and --init are the same file"));

  for (const std::vector<std::string>& named :
       {std::vector<std::string>{"models"}, std::vector<std::string>{"--model", "models"}}) {
    std::vector<std::string> arguments = {"info"};
    arguments.insert(arguments.end(), named.begin(), named.end());
    CHECK_THAT(run_in_folder(arguments).err, contains("combiner: models: is a folder"));
  }
  const ProgramResult unknown = run({"info", "--model", "smal"});
  CHECK(unknown.exit_code == 1);
  CHECK(unknown.err ==
        "combiner: smal: there is no such file and no shipped model of this name; did you mean "
        "small?; combiner models lists those that there are\n");
}

}  // namespace
}  // namespace combiner

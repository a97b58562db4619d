#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "catch.h"
#include "cli/run_program.h"
#include "dataset/subset.h"
#include "file_text.h"
#include "image/write_png.h"
#include "temp_folder.h"
#include "training/checkpoint.h"
#include "training/log_rows.h"
#include "training/tiny_training.h"
#include "wait_until.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr int kPictures = 12;

// A folder with a config and pictures to train on. The files of a run are named after it.
class Workplace {
 public:
  Workplace() {
    write_text(config(), to_json(tiny_config()));
    write_pictures(kPictures);
  }

  void write_pictures(int64_t count, uint64_t seed = 1) const {
    const auto pictures = tiny_pictures(count, seed);
    fs::create_directory(folder / "pictures");
    for (int64_t i = 0; i < pictures->size(); ++i) {
      Image image{kTinySide, kTinySide, std::vector<uint8_t>(3 * kTinySide * kTinySide)};
      pictures->read(i, image.pixels);
      write_png(folder / fmt::format("pictures/{:02}.png", i), image);
    }
  }

  // Replaces pictures by others.
  void replace(const std::vector<int64_t>& indices) const {
    const auto others = tiny_pictures(kPictures, 99);
    for (const int64_t i : indices) {
      Image image{kTinySide, kTinySide, std::vector<uint8_t>(3 * kTinySide * kTinySide)};
      others->read(i, image.pixels);
      write_png(folder / fmt::format("pictures/{:02}.png", i), image);
    }
  }

  fs::path config() const { return folder / "config.json"; }
  fs::path weights(const std::string& run) const { return folder / (run + ".safetensors"); }
  fs::path checkpoint(const std::string& run) const { return folder / (run + ".checkpoint"); }
  fs::path log(const std::string& run) const { return folder / (run + ".csv"); }

  // The command line of a run that keeps 4 pictures for validation.
  std::vector<std::string> command(const std::string& run, std::vector<std::string> more) const {
    std::vector<std::string> words = {"train",
                                      "--data",
                                      (folder / "pictures").string(),
                                      "-o",
                                      weights(run).string(),
                                      "--validation-images",
                                      "4",
                                      "--threads",
                                      "1",
                                      "--precision",
                                      "f32"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<std::string> first(const std::string& run, std::vector<std::string> more) const {
    more.insert(more.end(), {"--config", config().string()});
    return command(run, more);
  }
  // Whatever there is of an earlier run.
  std::vector<std::string> fresh(const std::string& run, std::vector<std::string> more) const {
    more.emplace_back("--overwrite");
    return first(run, more);
  }
  std::vector<std::string> resumed(const std::string& run, std::vector<std::string> more) const {
    more.insert(more.end(), {"--resume", checkpoint(run).string()});
    return command(run, more);
  }

  TempFolder folder;
};

size_t steps_logged(const fs::path& log) {
  const size_t rows = timeless_rows(log).size();
  return rows > 0 ? rows - 1 : 0;
}

// Waits until a log has this many steps; returns whether it does.
bool reaches(const fs::path& log, size_t steps) {
  return wait_until([&] { return steps_logged(log) >= steps; });
}

TEST_CASE("train: --minutes are those of the clock") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", {"--minutes", "0.01"})).exit_code == 0);
  const std::string log = read_text(place.log("a"));
  REQUIRE(steps_logged(place.log("a")) >= 1);
  // step,images,seconds,...
  std::istringstream last(log.substr(log.rfind('\n', log.size() - 2) + 1));
  std::string step, images, seconds;
  std::getline(last, step, ',');
  std::getline(last, images, ',');
  std::getline(last, seconds, ',');
  CHECK(std::stod(seconds) >= 0.5);
}

TEST_CASE("train: begins with the weights of --init, also in another config") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", {"--steps", "3"})).exit_code == 0);
  const std::string a = place.weights("a").string();

  // At a learning rate of almost nothing, the model stays what it was.
  const ProgramResult same =
      run_combiner(place.command("b", {"--init", a, "--steps", "1", "--lr", "1e-30"}));
  REQUIRE(same.exit_code == 0);
  CHECK(load_weights(place.weights("b")).config == tiny_config());
  CHECK(std::ranges::equal(load_weights(place.weights("b")).values.span(),
                           load_weights(a).values.span()));

  ModelConfig deeper = tiny_config();
  ++deeper.num_layers;
  const std::string file = (place.folder / "deeper.json").string();
  write_text(file, to_json(deeper));
  const ProgramResult other =
      run_combiner(place.command("c", {"--init", a, "--config", file, "--steps", "1"}));
  REQUIRE(other.exit_code == 0);
  CHECK_THAT(other.err, contains(a + ": blocks." + std::to_string(tiny_config().num_layers) +
                                 ".norm1.weight: begins anew: the file has none\n"));
  CHECK(load_weights(place.weights("c")).config == read_config(file));

  const ProgramResult onto_itself =
      run_combiner(place.command("a", {"--init", a, "--steps", "1", "--overwrite"}));
  CHECK(onto_itself.exit_code == 2);
  CHECK_THAT(onto_itself.err, contains("--output and --init are the same file"));
}

TEST_CASE("train: writes weights, a checkpoint and a log") {
  const Workplace place;
  const ProgramResult result = run_combiner(place.fresh("a", {"--steps", "5", "--batch", "3"}));
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.starts_with(place.weights("a").string() + ": 5 steps, 15 images, validation "));
  CHECK(result.out.ends_with(" bits/dim\n"));
  const std::string data = (place.folder / "pictures").string();
  CHECK(result.err.starts_with("training on 8 images, validating on 4 (drawn from " + data +
                               " with seed 1)\n"
                               "step 5, 15 images, "));  // the validation after the last step

  CHECK(load_weights(place.weights("a")).config == tiny_config());
  const CheckpointHeader header = read_checkpoint_header(place.checkpoint("a"));
  CHECK(header.config == tiny_config());
  CHECK(header.options.batch == 3);
  const std::vector<std::string> rows = timeless_rows(place.log("a"));
  REQUIRE(rows.size() == 6);
  CHECK(rows[0] == "step,images,loss,validation,learning_rate,gradient_norm,");
  CHECK(rows[5].starts_with("5,15,"));
  CHECK(std::distance(fs::directory_iterator(place.folder.path()), {}) == 2 + 3);

  // What is not given on the command line is as TrainingOptions has it.
  const TrainingOptions options = read_checkpoint_header(place.checkpoint("a")).options;
  CHECK(options.flips == TrainingOptions().flips);
  CHECK(options.learning_rate == TrainingOptions().learning_rate);

  // The weights can be used, for example to evaluate the pictures kept for validation.
  const ProgramResult eval =
      run_combiner({"eval", "--model", place.weights("a").string(), "--data",
                    (place.folder / "pictures").string(), "--precision", "f32"});
  CHECK(eval.exit_code == 0);
}

TEST_CASE("train: options control the training and are stored in the checkpoint") {
  const Workplace place;
  const ProgramResult result = run_combiner(place.fresh("a", {"--steps",
                                                              "2",
                                                              "--batch",
                                                              "2",
                                                              "--lr",
                                                              "0.25",
                                                              "--warmup",
                                                              "7",
                                                              "--decay",
                                                              "0.5",
                                                              "--optimizer",
                                                              "adamw",
                                                              "--weight-decay",
                                                              "0.125",
                                                              "--clip",
                                                              "3",
                                                              "--average",
                                                              "0.75",
                                                              "--no-flips",
                                                              "--seed",
                                                              "18446744073709551615",
                                                              "--checkpoint",
                                                              (place.folder / "c").string(),
                                                              "--log",
                                                              (place.folder / "l").string()}));
  REQUIRE(result.exit_code == 0);
  const TrainingOptions options = read_checkpoint_header(place.folder / "c").options;
  CHECK(options.batch == 2);
  CHECK(options.learning_rate == 0.25);
  CHECK(options.warmup_steps == 7);
  CHECK(options.decay_fraction == 0.5);
  CHECK(options.optimizer.kind == OptimizerKind::adamw);
  CHECK(options.optimizer.weight_decay == 0.125f);
  CHECK(options.clip_norm == 3);
  CHECK(options.average_decay == 0.75);
  CHECK_FALSE(options.flips);
  CHECK(options.seed == ~uint64_t{0});
  CHECK(timeless_rows(place.folder / "l").size() == 3);
  CHECK_FALSE(fs::exists(place.checkpoint("a")));
  CHECK_FALSE(fs::exists(place.log("a")));

  // Resuming keeps these options except for those given on the command line.
  const ProgramResult resumed = run_combiner(place.command(
      "b", {"--resume", (place.folder / "c").string(), "--steps", "4", "--lr", "0.125"}));
  REQUIRE(resumed.exit_code == 0);
  const TrainingOptions later = read_checkpoint_header(place.checkpoint("b")).options;
  CHECK(later.learning_rate == 0.125);
  CHECK(later.warmup_steps == 7);
  CHECK_FALSE(later.flips);
}

TEST_CASE("train: a wrong command line is reported and no file is written") {
  const Workplace place;
  const auto refuses = [&](const std::vector<std::string>& arguments,
                           const std::string& complaint) {
    const ProgramResult result = run_combiner(arguments);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.starts_with("combiner: "));
    CHECK_THAT(result.err, contains(complaint));
    CHECK(result.err.ends_with("See combiner train --help.\n"));
    CHECK(std::distance(fs::directory_iterator(place.folder.path()), {}) == 2);
  };
  refuses({"train"}, "required");
  refuses({"train", "--config", place.config().string(), "--steps", "1", "-o", "w"}, "--data");
  refuses({"train", "--config", place.config().string(), "--steps", "1", "--data", "d"},
          "--output");
  refuses(place.command("a", {"--steps", "1"}), "--config, --init or --resume is required");
  refuses(place.fresh("a", {}), "--steps or --minutes is required");
  refuses(place.fresh("a", {"--steps", "1", "--minutes", "1"}),
          "--steps and --minutes can't both be given");
  refuses(place.fresh("a", {"--steps", "0"}), "--steps: 0 is not a whole number of 1 or more");
  refuses(place.fresh("a", {"--steps", "1.5"}), "--steps");
  refuses(place.fresh("a", {"--minutes", "nan"}), "nan is not a number above 0 and at most");
  refuses(place.fresh("a", {"--minutes", "-1"}), "-1 is not a number above 0");
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--lr", "0"}, "--lr: 0 is not a number above 0"},
      {{"--lr", "nan"}, "--lr: nan is not a number above 0"},
      {{"--batch", "0"}, "--batch: 0 is not a whole number from 1 to 65536"},
      {{"--warmup", "-1"}, "--warmup: -1 is not a whole number"},
      {{"--decay", "1.5"}, "1.5 is not a number from 0 to 1"},
      {{"--average", "-1"}, "-1 is not a number from 0 to 1"},
      {{"--clip", "0"}, "0 is not a number above 0"},
      {{"--weight-decay", "-1"}, "-1 is not a number of 0 or more"},
      {{"--optimizer", "sgd"}, "sgd"},
      {{"--seed", "-1"}, "-1 is not a whole number"},
      {{"--checkpoint-minutes", "nan"}, "nan is not a number from 0"},
      {{"--validation-minutes", "-1"}, "-1 is not a number from 0"},
      {{"--colour"}, "--colour"},
      {{"--data", (place.folder / "pictures/").string()}, "are the same data"},
  };
  for (auto [words, complaint] : wrong) {
    words.insert(words.end(), {"--steps", "1"});
    refuses(place.fresh("a", words), complaint);
  }
}

TEST_CASE("train: two files of a run may not be the same file") {
  const Workplace place;
  const std::string config = read_text(place.config());
  const auto refuses = [&](const std::vector<std::string>& more, const std::string& complaint) {
    std::vector<std::string> words = more;
    words.insert(words.end(), {"--steps", "1"});
    const ProgramResult result = run_combiner(place.fresh("a", words));
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains(complaint));
    CHECK(read_text(place.config()) == config);
    CHECK(std::distance(fs::directory_iterator(place.folder.path()), {}) == 2);
  };
  const std::string same = (place.folder / "pictures/../a.safetensors").string();
  refuses({"--checkpoint", same}, "--output and --checkpoint are the same file");
  refuses({"--log", same}, "--output and --log are the same file");
  refuses({"--log", place.checkpoint("a").string()}, "--log and --checkpoint are the same file");
  refuses({"--log", place.config().string()}, "--log and --config are the same file");
  refuses({"--checkpoint", place.config().string()}, "--config and --checkpoint are the same");
  refuses({"--resume", place.weights("a").string()}, "--output and --resume are the same file");
}

TEST_CASE("train: impossible requests are reported and no file is written") {
  const Workplace place;
  const auto refuses = [&](const std::vector<std::string>& arguments,
                           const std::string& complaint) {
    const ProgramResult result = run_combiner(arguments);
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains("combiner: "));  // maybe after what it would train on
    CHECK_THAT(result.err, contains(complaint));
    CHECK_FALSE(fs::exists(place.weights("a")));
    CHECK_FALSE(fs::exists(place.checkpoint("a")));
  };
  const std::vector<std::string> one = {"--steps", "1"};
  refuses(place.resumed("a", one), "can't open the file");
  refuses(place.command("a", {"--steps", "1", "--config", (place.folder / "none").string()}),
          "can't open the file");
  write_text(place.folder / "bad.json", "{");
  refuses(place.command("a", {"--steps", "1", "--config", (place.folder / "bad.json").string()}),
          "bad.json");
  write_text(place.log("a"), "some,other,table\n");
  refuses(place.fresh("a", one), "not a training log");
  CHECK(read_text(place.log("a")) == "some,other,table\n");
  fs::remove(place.log("a"));
  refuses(place.fresh("absent/a", one), "absent/a.safetensors: can't create the file");

  fs::rename(place.folder / "pictures", place.folder / "away");
  refuses(place.fresh("a", one), "pictures: can't open the data set");
  fs::rename(place.folder / "away", place.folder / "pictures");

  ModelConfig wider = tiny_config();
  wider.image.width = 5;
  write_text(place.config(), to_json(wider));
  const ProgramResult result = run_combiner(place.fresh("a", one));
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("use --resize"));
  CHECK_FALSE(fs::exists(place.weights("a")));
  CHECK(run_combiner(place.fresh("a", {"--steps", "1", "--resize"})).exit_code == 0);
}

TEST_CASE("train: keeping all pictures for validation is an error") {
  const Workplace place;
  const auto kept_apart = [&](int count) {
    return run_combiner({"train", "--overwrite", "--config", place.config().string(), "--data",
                         (place.folder / "pictures").string(), "-o", place.weights("a").string(),
                         "--steps", "1", "--validation-images", std::to_string(count)});
  };
  CHECK(kept_apart(kPictures).exit_code == 1);
  CHECK_THAT(kept_apart(kPictures).err, contains("set --validation-images below what it has"));
  CHECK(kept_apart(-1).exit_code == 2);
  CHECK(kept_apart(kPictures - 1).exit_code == 0);
  const ProgramResult none = kept_apart(0);
  CHECK(none.exit_code == 0);
  CHECK(none.out == place.weights("a").string() + ": 1 step, 4 images\n");
  CHECK(none.err == "training on 12 images, validating on none\n");
}

TEST_CASE("train: on several data sets, as on one that has all their pictures") {
  const Workplace place;
  const fs::path first = place.folder / "pictures", second = place.folder / "zz";
  fs::create_directory(second);
  const auto train = [&](const char* name, const std::vector<fs::path>& data, const char* kept) {
    std::vector<std::string> arguments = {
        "train",   "--config", place.config().string(), "-o", place.weights(name).string(),
        "--steps", "5",        "--validation-images",   kept};
    for (const fs::path& each : data) arguments.insert(arguments.end(), {"--data", each.string()});
    return run_combiner(arguments);
  };
  REQUIRE(train("a", {first}, "4").exit_code == 0);
  // The last pictures, by their names, so that the order stays.
  std::vector<fs::path> pictures(fs::directory_iterator(first), {});
  std::ranges::sort(pictures);
  for (const fs::path& picture : {pictures[kPictures - 2], pictures[kPictures - 1]})
    fs::rename(picture, second / picture.filename());
  const ProgramResult both = train("b", {first, second}, "4");
  CHECK(both.err.starts_with("training on 8 images, validating on 4 (drawn from " + first.string() +
                             " and " + second.string() + " with seed 1)\n"));
  CHECK((read_text(place.weights("a")) == read_text(place.weights("b"))));
  CHECK(train("c", {first, second}, "12").exit_code == 1);
  CHECK(train("d", {first, place.folder / "absent"}, "4").exit_code == 1);

  // What one of them has for validation, none is trained on.
  fs::create_directories(place.folder / "parts/train");
  fs::rename(first, place.folder / "parts/valid");
  fs::copy_file(second / pictures.back().filename(), place.folder / "parts/train/a.png");
  const fs::path parts = place.folder / "parts";
  CHECK(train("e", {second, parts}, "500")
            .err.starts_with("training on 3 images, validating on 10 (" +
                             (parts / "valid").string() + ")\n"));

  std::vector<std::string> inside = {"train",
                                     "--config",
                                     place.config().string(),
                                     "-o",
                                     (second / "w.safetensors").string(),
                                     "--steps",
                                     "1",
                                     "--data",
                                     parts.string(),
                                     "--data",
                                     second.string()};
  CHECK(run_combiner(inside).exit_code == 2);
}

TEST_CASE("train: validation pictures are not trained on") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", {"--steps", "9"})).exit_code == 0);
  // Replacing the validation pictures must not change the training.
  place.replace(drawn_indices(kPictures, 4, 1));
  REQUIRE(run_combiner(place.fresh("b", {"--steps", "9"})).exit_code == 0);
  CHECK((read_text(place.weights("a")) == read_text(place.weights("b"))));
  CHECK(timeless_rows(place.log("a")) != timeless_rows(place.log("b")));  // the validation differs
}

TEST_CASE("train: pictures of the data's own are measured on, and no others kept apart") {
  const Workplace place;
  const fs::path data = place.folder / "data";
  fs::create_directory(data);
  fs::copy(place.folder / "pictures", data / "train");
  fs::create_directory(data / "valid");
  for (const char* name : {"00.png", "01.png", "02.png"})
    fs::rename(data / "train" / name, data / "valid" / name);
  const auto train = [&](const std::string& wanted) {
    return run_combiner({"train", "--overwrite", "--config", place.config().string(), "--data",
                         data.string(), "-o", place.weights("a").string(), "--steps", "1",
                         "--validation-images", wanted});
  };
  const std::string valid = (data / "valid").string();
  for (const auto& [wanted, measured] : std::vector<std::pair<std::string, std::string>>{
           {"500", "3 (" + valid + ")"},
           {"3", "3 (" + valid + ")"},
           {"2", "2 (of 3 in " + valid + ", drawn with seed 1)"},
           {"0", "none"}}) {
    const ProgramResult result = train(wanted);
    CHECK(result.exit_code == 0);
    CHECK(result.err.starts_with("training on 9 images, validating on " + measured + "\n"));
  }
  write_text(data / "valid/notes.txt", "text");
  CHECK(train("3").err.starts_with(valid + ": 3 images, 1 ignored (not pictures: notes.txt)\n"));
}

// Without a decay, a step does not depend on the total number of steps.
const std::vector<std::string> kNoDecay = {"--decay", "0"};

std::vector<std::string> steps(size_t number, std::vector<std::string> more = kNoDecay) {
  more.insert(more.end(), {"--steps", std::to_string(number)});
  return more;
}

TEST_CASE("train: --resume continues as if training had not stopped") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("straight", steps(8))).exit_code == 0);
  REQUIRE(run_combiner(place.fresh("broken", steps(3))).exit_code == 0);
  const ProgramResult resumed = run_combiner(place.resumed("broken", steps(8)));
  REQUIRE(resumed.exit_code == 0);
  CHECK(resumed.out.starts_with(place.weights("broken").string() + ": 8 steps, 32 images, "));
  CHECK((read_text(place.weights("broken")) == read_text(place.weights("straight"))));
  std::vector<std::string> expected = timeless_rows(place.log("straight"));
  std::vector<std::string> rows = timeless_rows(place.log("broken"));
  REQUIRE(rows.size() == 9);
  // The interrupted run has a validation after step 3 that the other run lacks.
  rows.erase(rows.begin() + 3);
  expected.erase(expected.begin() + 3);
  CHECK(rows == expected);
}

TEST_CASE("train: --resume keeps the same pictures apart, with another seed too") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  const ProgramResult resumed =
      run_combiner(place.resumed("a", steps(4, {"--decay", "0", "--seed", "7"})));
  CHECK(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, contains("validating on 4 (drawn from "));
  CHECK_THAT(resumed.err, contains(" with seed 1)\n"));
  const TrainingOptions options = read_checkpoint_header(place.checkpoint("a")).options;
  CHECK(options.seed == 7);
  CHECK(options.hold_out_seed == 1);
}

// Takes out of a checkpoint what those written by earlier versions lack.
void make_older(const fs::path& checkpoint) {
  std::string text = read_text(checkpoint);
  uint64_t size = 0;  // of the header, which spaces may follow
  std::memcpy(&size, text.data(), sizeof size);
  const auto take_out = [&](const std::string& from, size_t length) {
    const size_t at = text.find(from);
    REQUIRE(at < size);
    text.erase(at, length);
    text.insert(8 + size - length, length, ' ');
  };
  const std::string seed = R"(,\"hold_out_seed\":1)";
  const std::string checksum = R"("combiner_checksum":"crc32:)";
  take_out(seed, seed.size());
  take_out(checksum, checksum.size() + std::string_view(R"(01234567",)").size());
  write_text(checkpoint, text);
}

TEST_CASE("train: an older checkpoint goes on with its last pictures kept apart") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  make_older(place.checkpoint("a"));
  fs::copy_file(place.checkpoint("a"), place.checkpoint("b"));
  const ProgramResult resumed = run_combiner(place.resumed("a", steps(9)));
  CHECK(resumed.exit_code == 0);
  CHECK(resumed.err.starts_with("training on 8 images, validating on 4 (the last of " +
                                (place.folder / "pictures").string() + ", as "));
  CHECK_FALSE(read_checkpoint_header(place.checkpoint("a")).options.hold_out_seed);
  place.replace({8, 9, 10, 11});
  REQUIRE(run_combiner(place.resumed("b", steps(9))).exit_code == 0);
  CHECK((read_text(place.weights("a")) == read_text(place.weights("b"))));
}

TEST_CASE("train: a checkpoint only resumes with the data and config that it was made with") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(3))).exit_code == 0);
  const std::string checkpoint = read_text(place.checkpoint("a"));
  const auto refuses = [&](const std::vector<std::string>& arguments,
                           const std::string& complaint) {
    const ProgramResult result = run_combiner(arguments);
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, contains(complaint));
    CHECK((read_text(place.checkpoint("a")) == checkpoint));
    CHECK(steps_logged(place.log("a")) == 3);
  };
  refuses(place.resumed("a", steps(5, {"--optimizer", "adamw"})), "another optimiser");
  ModelConfig other = tiny_config();
  other.num_layers = 1;
  other.attention.pop_back();
  write_text(place.config(), to_json(other));
  refuses(place.resumed("a", steps(5, {"--config", place.config().string()})),
          "not the config that");
  refuses(place.command("a", steps(5, {"--resume", place.weights("a").string() + "x"})),
          "can't open the file");
  write_text(place.checkpoint("b"), checkpoint.substr(0, checkpoint.size() / 2));
  refuses(place.resumed("b", steps(5)), "b.checkpoint: ");
  fs::copy_file(place.weights("a"), place.checkpoint("c"));
  refuses(place.resumed("c", steps(5)), "is a model's weights, not a training checkpoint");

  fs::rename(place.folder / "pictures", place.folder / "away");
  place.write_pictures(kPictures, 2);
  refuses(place.resumed("a", steps(5)), "trained on 8 other images");
}

TEST_CASE("train: --resume goes on after a picture was taken out, and says so") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(3))).exit_code == 0);
  fs::remove(place.folder / "pictures/00.png");
  const ProgramResult result = run_combiner(place.resumed("a", steps(5)));
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, contains("trained on 8 images until now, and on 7 from here on"));
  CHECK(steps_logged(place.log("a")) == 5);
}

TEST_CASE("train: --resume of a finished training succeeds and says so") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(3))).exit_code == 0);
  const auto files = [&] {
    return read_text(place.weights("a")) + read_text(place.checkpoint("a")) +
           read_text(place.log("a"));
  };
  const std::string before = files();
  const ProgramResult over = run_combiner(place.resumed("a", steps(3)));
  CHECK(over.exit_code == 0);
  CHECK(over.out.empty());
  CHECK_THAT(over.err, contains(place.weights("a").string() + ": was there already, and is left"));
  CHECK_THAT(over.err, contains("a.checkpoint: the training is over: it has made 3 steps in "));
  CHECK_THAT(over.err, contains("asked for in all: 3 steps"));
  CHECK((files() == before));

  const std::string weights = read_text(place.weights("a"));
  const auto writes_them_again = [&] {
    CHECK(run_combiner(place.resumed("a", steps(2))).exit_code == 0);
    CHECK((read_text(place.weights("a")) == weights));
  };
  fs::remove(place.weights("a"));
  writes_them_again();
  write_text(place.weights("a"), weights.substr(0, weights.size() / 2));
  writes_them_again();
}

TEST_CASE("train: a checkpoint is not a model, and says where that is") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(1))).exit_code == 0);
  const ProgramResult info = run_combiner({"info", "--model", place.checkpoint("a").string()});
  CHECK(info.exit_code == 1);
  CHECK_THAT(info.err, contains("a.checkpoint: is a training checkpoint, for train --resume; the "
                                "weights are in the file that train -o names, " +
                                place.weights("a").string() + " by default"));
}

TEST_CASE("train: a new training does not overwrite an old one, unless it is meant") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(3))).exit_code == 0);
  const std::string checkpoint = read_text(place.checkpoint("a"));
  const std::string weights = read_text(place.weights("a")), log = read_text(place.log("a"));
  const ProgramResult again = run_combiner(place.first("a", steps(5)));
  CHECK(again.exit_code == 1);
  CHECK_THAT(again.err, contains("a.checkpoint: holds a training of 3 steps, which would be lost"));
  REQUIRE(run_combiner(place.fresh("b", steps(2))).exit_code == 0);
  const ProgramResult other =
      run_combiner(place.resumed("b", steps(5, {"--checkpoint", place.checkpoint("a").string()})));
  CHECK(other.exit_code == 1);
  CHECK_THAT(other.err, contains("holds a training of 3 steps"));
  CHECK((read_text(place.checkpoint("a")) == checkpoint));
  CHECK((read_text(place.weights("a")) == weights));
  CHECK(read_text(place.log("a")) == log);

  write_text(place.checkpoint("c"), "a letter");
  const ProgramResult letter = run_combiner(place.first("c", steps(1)));
  CHECK(letter.exit_code == 1);
  CHECK_THAT(letter.err, contains("It would be overwritten"));
  CHECK(read_text(place.checkpoint("c")) == "a letter");

  CHECK(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  CHECK(read_checkpoint_header(place.checkpoint("a")).step == 2);
}

TEST_CASE("train: the log of another training is not emptied without being asked") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  const std::string log = read_text(place.log("a"));
  fs::remove(place.checkpoint("a"));
  std::vector<std::string> words =
      place.command("a", {"--config", place.config().string(), "--steps", "1", "--seed", "5"});
  const ProgramResult refused = run_combiner(words);
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, contains("a.csv: is the log of another training"));
  CHECK(read_text(place.log("a")) == log);
  words.push_back("--overwrite");
  CHECK(run_combiner(words).exit_code == 0);
  CHECK(steps_logged(place.log("a")) == 1);
}

TEST_CASE("train: other weights are not overwritten without being asked") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  fs::remove(place.checkpoint("a"));
  fs::remove(place.log("a"));
  const std::string weights = read_text(place.weights("a"));
  const ProgramResult refused = run_combiner(place.first("a", steps(1)));
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, contains("a.safetensors: holds weights, which would be lost"));
  CHECK((read_text(place.weights("a")) == weights));
  CHECK_FALSE(fs::exists(place.checkpoint("a")));
  CHECK(run_combiner(place.fresh("a", steps(1))).exit_code == 0);
  CHECK((read_text(place.weights("a")) != weights));
}

TEST_CASE("train: damaged weights are replaced if that is asked for, and when it goes on") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  const std::string weights = read_text(place.weights("a"));
  write_text(place.weights("a"), weights.substr(0, weights.size() / 2));
  CHECK(run_combiner(place.resumed("a", steps(3))).exit_code == 0);
  CHECK_NOTHROW(load_weights(place.weights("a")));
  write_text(place.weights("a"), weights.substr(0, weights.size() / 2));
  CHECK(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  CHECK((read_text(place.weights("a")) == weights));
}

TEST_CASE("train: the weights never replace a file of another kind") {
  const Workplace place;
  REQUIRE(run_combiner(place.fresh("a", steps(2))).exit_code == 0);
  for (const fs::path& file : {place.checkpoint("a"), place.log("a"), place.config()}) {
    const std::string text = read_text(file);
    std::vector<std::string> words = place.fresh("b", steps(1));
    std::ranges::replace(words, std::string("--config"), std::string("--init"));
    std::ranges::replace(words, place.config().string(), place.weights("a").string());
    std::ranges::replace(words, place.weights("b").string(), file.string());
    const ProgramResult result = run_combiner(words);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains("it would be overwritten; choose another name"));
    CHECK((read_text(file) == text));
  }
}

TEST_CASE("train: data that lies in other data is refused") {
  const Workplace place;
  const fs::path pictures = place.folder / "pictures";
  fs::create_directory(pictures / "more");
  fs::copy(pictures / "00.png", pictures / "more/00.png");
  const auto refuses = [&](const fs::path& data) {
    const ProgramResult result =
        run_combiner(place.fresh("a", {"--data", data.string(), "--steps", "1"}));
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains("its images are also among those of"));
    CHECK_FALSE(fs::exists(place.checkpoint("a")));
  };
  refuses(pictures / "more");
  // What a divided folder has beside its parts may be given as well.
  fs::create_directory(pictures / "train");
  for (int i = 0; i < kPictures; ++i)
    fs::copy(pictures / fmt::format("{:02}.png", i), pictures / "train");
  refuses(pictures / "train");
  const std::vector<std::string> words = {"--data", (pictures / "more").string(), "--steps", "1"};
  CHECK(run_combiner(place.fresh("a", words)).exit_code == 0);
}

TEST_CASE("train: two runs don't write the same files") {
  const Workplace place;
  RunningProgram first(place.fresh("a", steps(1000000)));
  REQUIRE(reaches(place.log("a"), 2));
  const ProgramResult second = run_combiner(place.fresh("a", steps(5)));
  CHECK(second.exit_code == 1);
  CHECK_THAT(second.err, contains("a.checkpoint: is being written by another run"));
  first.send(SIGTERM);
  CHECK(first.wait().exit_code == 130);
}

TEST_CASE("train: no file of the run is one of its data") {
  const Workplace place;
  const std::string pictures = (place.folder / "pictures").string();
  const std::string inside = pictures + "/00.png";
  const std::string before = read_text(inside);
  for (const char* option : {"-o", "--checkpoint", "--log"}) {
    std::vector<std::string> words = place.fresh("a", steps(1));
    if (std::string(option) == "-o")
      std::ranges::replace(words, place.weights("a").string(), inside);
    else
      words.insert(words.end(), {option, inside});
    const ProgramResult result = run_combiner(words);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, contains("which is read; write elsewhere"));
  }
  CHECK((read_text(inside) == before));
}

TEST_CASE("train: an interrupt stops cleanly, and --resume continues from there") {
  const Workplace place;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    const std::string run = fmt::format("signal{}", signal);
    RunningProgram program(place.fresh(run, steps(1000000)));
    REQUIRE(reaches(place.log(run), 2));
    program.send(signal);
    const ProgramResult result = program.wait();
    const size_t made = steps_logged(place.log(run));
    CHECK(result.exit_code == 130);
    CHECK(result.out.empty());
    CHECK(
        result.err.ends_with(fmt::format("\ncombiner: interrupted at step {}; --resume {} goes "
                                         "on from there\n",
                                         made, place.checkpoint(run).string())));
    CHECK_NOTHROW(load_weights(place.weights(run)));

    REQUIRE(run_combiner(place.resumed(run, steps(made + 2))).exit_code == 0);
    REQUIRE(run_combiner(place.fresh("straight", steps(made + 2))).exit_code == 0);
    CHECK((read_text(place.weights(run)) == read_text(place.weights("straight"))));
    CHECK(timeless_rows(place.log(run)) == timeless_rows(place.log("straight")));
  }
}

TEST_CASE("train: killed at any moment, it leaves a checkpoint to resume from") {
  const Workplace place;
  const std::vector<std::string> always = {"--decay", "0", "--checkpoint-minutes", "0"};
  size_t made = 0;
  for (int kill = 0; kill < 6; ++kill) {
    const std::vector<std::string> words = steps(1000000, always);
    RunningProgram program(kill == 0 ? place.fresh("a", words) : place.resumed("a", words));
    REQUIRE(reaches(place.log("a"), made + 2));
    std::this_thread::sleep_for(std::chrono::microseconds(700 * kill));
    program.send(SIGKILL);
    CHECK(program.wait().exit_code == 128 + SIGKILL);
    made = steps_logged(place.log("a"));
    CHECK_NOTHROW(load_weights(place.weights("a")));
    CHECK_NOTHROW(read_checkpoint_header(place.checkpoint("a")));
  }
  REQUIRE(run_combiner(place.resumed("a", steps(made + 1))).exit_code == 0);
  REQUIRE(run_combiner(place.fresh("straight", steps(made + 1))).exit_code == 0);
  CHECK((read_text(place.weights("a")) == read_text(place.weights("straight"))));
  CHECK(timeless_rows(place.log("a")) == timeless_rows(place.log("straight")));
}

TEST_CASE("train: a full disk or standard output is an error") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  const Workplace place;
  for (const char* option : {"--checkpoint", "--log"}) {
    const ProgramResult result = run_combiner(place.fresh("a", steps(2, {option, "/dev/full"})));
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, contains("/dev/full: can't write the file"));
  }
  const ProgramResult result = RunningProgram(place.fresh("a", steps(2)), "/dev/full").wait();
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains("can't write to standard output"));
}

// Leaves the first half of a file.
void cut(const fs::path& path) {
  const std::string bytes = read_text(path);
  write_text(path, bytes.substr(0, bytes.size() / 2));
}

TEST_CASE("train: a bad picture ends it before it begins, or is left out") {
  const Workplace place;
  cut(place.folder / "pictures/03.png");
  const ProgramResult refused = run_combiner(place.first("a", steps(3)));
  CHECK(refused.exit_code == 1);
  CHECK_THAT(refused.err, contains("pictures/03.png: is a PNG picture that is damaged"));
  for (const fs::path& file : {place.weights("a"), place.checkpoint("a"), place.log("a")})
    CHECK_FALSE(fs::exists(file));

  const ProgramResult rest = run_combiner(place.first("a", steps(3, {"--skip-bad"})));
  CHECK(rest.exit_code == 0);
  CHECK_THAT(rest.err, contains("left out: " + (place.folder / "pictures/03.png").string()));
  CHECK_THAT(rest.err, contains("training on 7 images, validating on 4"));

  // Without the picture it is the same data.
  fs::remove(place.folder / "pictures/03.png");
  const ProgramResult resumed = run_combiner(place.resumed("a", steps(5)));
  CHECK(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, !contains("until now"));
}

TEST_CASE("train: a picture that goes bad meanwhile costs no finished step") {
  const Workplace place;
  RunningProgram program(place.first("a", steps(1000000)));
  REQUIRE(reaches(place.log("a"), 3));
  for (int i = 0; i < kPictures; ++i)
    fs::remove(place.folder / fmt::format("pictures/{:02}.png", i));
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, contains(".png: can't"));
  const size_t made = steps_logged(place.log("a"));
  CHECK(made >= 3);
  CHECK_THAT(result.err, contains(fmt::format("\nThe last checkpoint, {}, is of step {}.",
                                              place.checkpoint("a").string(), made)));
  CHECK(read_checkpoint_header(place.checkpoint("a")).step == static_cast<int64_t>(made));

  place.write_pictures(kPictures);
  REQUIRE(run_combiner(place.resumed("a", steps(made + 2))).exit_code == 0);
  REQUIRE(run_combiner(place.fresh("straight", steps(made + 2))).exit_code == 0);
  CHECK((read_text(place.weights("a")) == read_text(place.weights("straight"))));
}

TEST_CASE("train: --skip-bad goes on without a picture that goes bad meanwhile") {
  const Workplace place;
  RunningProgram program(place.first("a", steps(1000000, {"--skip-bad"})));
  REQUIRE(reaches(place.log("a"), 3));
  for (const int i : {1, 2, 5, 6}) fs::remove(place.folder / fmt::format("pictures/{:02}.png", i));
  REQUIRE(reaches(place.log("a"), steps_logged(place.log("a")) + 20));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK_THAT(result.err, contains("left out: "));
  size_t said = 0;
  for (size_t at = 0; (at = result.err.find("left out: ", at)) != std::string::npos; ++at) ++said;
  CHECK(said <= 4);  // once each, unless one is kept for validation
}

TEST_CASE("train: --skip-bad goes on validating without a picture that went bad") {
  const Workplace place;
  const fs::path data = place.folder / "data";
  fs::create_directories(data / "valid");
  fs::rename(place.folder / "pictures", data / "train");
  for (const char* name : {"0.png", "1.png", "2.png"})
    fs::copy(data / "train/00.png", data / "valid" / name);
  RunningProgram program({"train", "--data", data.string(), "-o", place.weights("a").string(),
                          "--config", place.config().string(), "--threads", "1", "--skip-bad",
                          "--validation-minutes", "0", "--steps", "1000000"});
  REQUIRE(reaches(place.log("a"), 3));
  fs::remove(data / "valid/1.png");
  REQUIRE(reaches(place.log("a"), steps_logged(place.log("a")) + 20));
  program.send(SIGINT);
  CHECK(program.wait().exit_code == 130);
  // The last row may be of a step after which there was no time to validate.
  std::vector<std::string> rows = timeless_rows(place.log("a"));
  rows.pop_back();
  for (size_t i = 1; i < rows.size(); ++i) CHECK_THAT(rows[i], !contains(",,"));
}

TEST_CASE("train: --resume computes in the precision of the checkpoint unless told otherwise") {
  const Workplace place;
  const auto without_precision = [](std::vector<std::string> words) {
    const auto at = std::ranges::find(words, "--precision");
    words.erase(at, at + 2);
    return words;
  };
  for (const char* precision : {"f32", "bf16"}) {
    INFO(precision);
    const auto begin = [&](const char* run, size_t number) {
      std::vector<std::string> words = without_precision(place.fresh(run, steps(number)));
      words.insert(words.end(), {"--precision", precision});
      REQUIRE(run_combiner(words).exit_code == 0);
    };
    begin("straight", 5);
    begin("a", 2);
    CHECK(read_checkpoint_header(place.checkpoint("a")).precision == precision_named(precision));
    REQUIRE(run_combiner(without_precision(place.resumed("a", steps(5)))).exit_code == 0);
    CHECK((read_text(place.weights("a")) == read_text(place.weights("straight"))));
  }
}

TEST_CASE("train: a signal that was ignored stays ignored after another one") {
  const Workplace place;
  const fs::path ignoring_hangups =
      write_script(place.folder / "nohup", "exec nohup " COMBINER_PROGRAM " \"$@\"");
  RunningProgram program(place.first("a", steps(1000000)), "", ignoring_hangups.string());
  REQUIRE(reaches(place.log("a"), 3));
  program.send(SIGTERM);
  for (int i = 0; i < 100; ++i) program.send(SIGHUP);
  CHECK(program.wait().exit_code == 130);
}

TEST_CASE("train: an interrupt ends a long step, of which nothing is left") {
  const Workplace place;
  write_text(place.config(),
             to_json(small_config(Tokens::pixel, Attention::axial_rowmajor, 48, 48)));
  const auto batch = [](const char* images, size_t number) {
    return steps(number, {"--batch", images, "--decay", "0", "--resize"});
  };
  REQUIRE(run_combiner(place.first("a", batch("4", 2))).exit_code == 0);
  RunningProgram program(place.resumed("a", batch("65536", 5)));  // a step takes minutes
  REQUIRE(wait_until(
      [&] { return read_checkpoint_header(place.checkpoint("a")).options.batch == 65536; }));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  CHECK(result.exit_code == 130);
  CHECK_THAT(result.err, contains("interrupted at step 2; "));
  CHECK(steps_logged(place.log("a")) == 2);
  CHECK_NOTHROW(load_weights(place.weights("a")));

  REQUIRE(run_combiner(place.resumed("a", batch("4", 5))).exit_code == 0);
  REQUIRE(run_combiner(place.first("straight", batch("4", 5))).exit_code == 0);
  CHECK((read_text(place.weights("a")) == read_text(place.weights("straight"))));
}

}  // namespace
}  // namespace combiner

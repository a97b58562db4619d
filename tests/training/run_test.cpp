#include "training/run.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"
#include "training/checkpoint.h"
#include "training/log_rows.h"
#include "training/tiny_training.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

Trainer make_trainer(double learning_rate = 2e-3) {
  TrainingOptions options = tiny_options();
  options.learning_rate = learning_rate;
  return Trainer(tiny_config(), options, tiny_pictures(13), Precision::f32, 1);
}

RunOptions options_in(const TempFolder& folder, const std::string& name, int64_t steps) {
  RunOptions options;
  options.steps = steps;
  options.weights = folder / (name + ".safetensors");
  options.checkpoint = folder / (name + ".checkpoint");
  options.log = folder / (name + ".csv");
  return options;
}

RunOptions options_of_minutes(const TempFolder& folder, double minutes) {
  RunOptions options = options_in(folder, "a", 1);
  options.steps.reset();
  options.minutes = minutes;
  return options;
}

// Hooks that report a validation of 3.5 bits/dim, record all reports, and stop after some steps.
struct Recorder {
  std::vector<RunReport> reports = {};
  int validations = 0;
  int64_t stop_after = std::numeric_limits<int64_t>::max();

  RunHooks hooks() {
    RunHooks hooks;
    hooks.validate = [this](const Weights&) {
      ++validations;
      return std::optional<double>(3.5);
    };
    hooks.on_step = [this](const RunReport& report) {
      reports.push_back(report);
      return report.step.step < stop_after;
    };
    return hooks;
  }
};

// With a lock of its own.
RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks) {
  FileLock lock;
  lock.take(options.checkpoint);
  return combiner::run_training(trainer, seconds, options, hooks, lock);
}

// Trains without an interrupt and returns where the results are.
RunOptions uninterrupted_run(const TempFolder& folder, int64_t steps) {
  RunOptions options = options_in(folder, "straight", steps);
  Trainer trainer = make_trainer();
  run_training(trainer, 0, options, Recorder().hooks());
  return options;
}

TEST_CASE("run: makes its steps and writes weights, checkpoint and log") {
  const TempFolder folder;
  const RunOptions options = options_in(folder, "a", 6);
  Trainer trainer = make_trainer();
  Recorder recorder;
  CHECK(run_training(trainer, 0, options, recorder.hooks()) == RunEnd::finished);
  CHECK(trainer.steps() == 6);

  REQUIRE(recorder.reports.size() == 6);
  CHECK(recorder.validations == 1);  // at the end only
  for (size_t i = 0; i < 6; ++i) {
    const RunReport& report = recorder.reports[i];
    CHECK(report.step.step == static_cast<int64_t>(i) + 1);
    CHECK(report.fraction_done == static_cast<double>(i + 1) / 6);
    CHECK(report.validation == (i == 5 ? std::optional(3.5) : std::nullopt));
    CHECK(report.images_per_second > 0);
    if (i > 0) CHECK(report.seconds > recorder.reports[i - 1].seconds);
  }
  // The rate falls in the last fifth of the training, which here is the last step only.
  CHECK(recorder.reports[5].step.learning_rate < recorder.reports[4].step.learning_rate);

  const Weights saved = load_weights(options.weights);
  for (size_t i = 0; i < saved.values.size(); ++i)
    REQUIRE(saved.values[i] == to_float(to_bfloat16(trainer.average().values[i])));
  Trainer restored = make_trainer();
  CHECK(restored.restore(options.checkpoint) >= recorder.reports[5].seconds);
  CHECK(restored.steps() == 6);
  const std::vector<std::string> rows = timeless_rows(options.log);
  REQUIRE(rows.size() == 7);
  CHECK(rows[0] == "step,images,loss,validation,learning_rate,gradient_norm,");
  CHECK(rows[6].starts_with("6,24,"));
  CHECK_THAT(rows[6], contains(",3.50000,"));
}

TEST_CASE("run: interrupted and resumed, it ends as an uninterrupted run does") {
  const TempFolder folder;
  const RunOptions straight = uninterrupted_run(folder, 9);

  const RunOptions broken = options_in(folder, "broken", 9);
  {
    Trainer trainer = make_trainer();
    Recorder recorder{.stop_after = 4};
    CHECK(run_training(trainer, 0, broken, recorder.hooks()) == RunEnd::interrupted);
    CHECK(trainer.steps() == 4);
    CHECK(recorder.validations == 0);
    CHECK_NOTHROW(load_weights(broken.weights));
  }
  Trainer trainer = make_trainer();
  const double seconds = trainer.restore(broken.checkpoint);
  Recorder recorder;
  CHECK(run_training(trainer, seconds, broken, recorder.hooks()) == RunEnd::finished);
  REQUIRE(recorder.reports.size() == 5);
  CHECK(recorder.reports[0].step.step == 5);
  CHECK(recorder.reports[0].seconds > seconds);
  CHECK((read_text(broken.weights) == read_text(straight.weights)));
  CHECK(timeless_rows(broken.log) == timeless_rows(straight.log));
}

TEST_CASE("run: resuming from an older checkpoint repeats the lost steps") {
  const TempFolder folder;
  const RunOptions options = options_in(folder, "a", 8);
  Trainer first = make_trainer();
  Recorder recorder{.stop_after = 3};
  run_training(first, 0, options, recorder.hooks());
  fs::copy_file(options.checkpoint, folder / "older");
  first.restore(folder / "older");
  run_training(first, 0, options, Recorder().hooks());
  const std::vector<std::string> rows = timeless_rows(options.log);

  first.restore(folder / "older");
  run_training(first, 0, options, Recorder().hooks());
  CHECK(rows.size() == 9);
  CHECK(timeless_rows(options.log) == rows);
}

TEST_CASE("run: writes checkpoints and validates when they are due") {
  const TempFolder folder;
  RunOptions options = options_in(folder, "a", 4);
  options.checkpoint_minutes = 0;
  options.validation_minutes = 0;
  Trainer trainer = make_trainer();
  Recorder recorder;
  RunHooks hooks = recorder.hooks();
  int checked = 0;
  hooks.on_step = [&](const RunReport& report) {
    // The first checkpoint precedes the first step. That of each step is written after its report.
    Trainer restored = make_trainer();
    restored.restore(options.checkpoint);
    CHECK(restored.steps() == report.step.step - 1);
    CHECK(fs::exists(options.weights) == (report.step.step > 1));
    CHECK(report.validation.has_value());
    ++checked;
    return true;
  };
  run_training(trainer, 0, options, hooks);
  CHECK(checked == 4);
  CHECK(recorder.validations == 4);
}

TEST_CASE("run: a validation that takes longer than the time between two does not follow itself") {
  const TempFolder folder;
  RunOptions options = options_in(folder, "a", 40);
  options.validation_minutes = 0.2 / 60;
  Trainer trainer = make_trainer();
  RunHooks hooks;
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> last;
  bool at_once = false;
  hooks.validate = [&](const Weights&) {
    at_once = last && Clock::now() - *last < std::chrono::milliseconds(200);
    if (at_once && trainer.steps() < 40) FAIL("after " << trainer.steps() << " steps");
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    last = Clock::now();
    return std::optional<double>(3.5);
  };
  hooks.on_step = [](const RunReport&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return true;
  };
  CHECK(run_training(trainer, 0, options, hooks) == RunEnd::finished);
  CHECK(last.has_value());
}

TEST_CASE("run: a validation for which there is not enough memory costs no finished step") {
  const TempFolder folder;
  const RunOptions options = options_in(folder, "a", 3);
  Trainer trainer = make_trainer();
  Recorder recorder;
  RunHooks hooks = recorder.hooks();
  hooks.validate = [](const Weights&) -> std::optional<double> { throw std::bad_alloc(); };
  CHECK(error_of([&] { run_training(trainer, 0, options, hooks); }) ==
        fmt::format("not enough memory\nThe last checkpoint, {}, is of step 3.",
                    options.checkpoint.string()));
  CHECK(make_trainer().restore(options.checkpoint) > 0);
  CHECK(timeless_rows(options.log).size() == 4);
}

TEST_CASE("run: trains for a number of minutes") {
  const TempFolder folder;
  RunOptions options = options_of_minutes(folder, 0.01);
  Trainer trainer = make_trainer();
  Recorder recorder;
  CHECK(run_training(trainer, 0, options, recorder.hooks()) == RunEnd::finished);
  const RunReport& last = recorder.reports.back();
  CHECK(last.seconds >= 0.6);
  CHECK(last.fraction_done == 1.0);
  CHECK(last.validation.has_value());
  CHECK(last.step.learning_rate < 2e-3);
  CHECK(recorder.validations == 1);

  // However short its time, a run makes one step.
  options.minutes = 1e-9;
  Trainer other = make_trainer();
  run_training(other, 0, options, Recorder().hooks());
  CHECK(other.steps() == 1);
}

TEST_CASE("run: time without a step is no training") {
  const TempFolder folder;
  const RunOptions options = options_of_minutes(folder, 1.5);
  Trainer trainer = make_trainer();
  Recorder recorder;
  CHECK(run_training(trainer, 120, options, recorder.hooks()) == RunEnd::finished);
  REQUIRE(recorder.reports.size() == 1);
  CHECK(recorder.reports[0].step.learning_rate > 0);
}

TEST_CASE("run: resuming a finished run only writes weights that are missing") {
  const TempFolder folder;
  RunOptions options = options_in(folder, "a", 3);
  Trainer trainer = make_trainer();
  run_training(trainer, 0, options, Recorder().hooks());
  const std::string log = read_text(options.log);
  const std::string weights = read_text(options.weights);
  const auto is_over = [&](double seconds) {
    Recorder recorder;
    CHECK(run_training(trainer, seconds, options, recorder.hooks()) == RunEnd::over);
    CHECK(recorder.reports.empty());
    CHECK(read_text(options.log) == log);
  };
  save_weights(Weights(tiny_config()), DType::f32, options.weights);
  const std::string others = read_text(options.weights);
  is_over(120);
  options.steps = 2;
  is_over(120);
  options.steps.reset();
  options.minutes = 1.5;
  is_over(120);
  CHECK((read_text(options.weights) == others));
  fs::remove(options.weights);
  is_over(120);
  CHECK((read_text(options.weights) == weights));
}

TEST_CASE("run: invalid numbers are refused") {
  const auto refuses = [](const auto& spoil, const std::string& message) {
    RunOptions options;
    options.steps = 3;
    CHECK_NOTHROW(validate(options));
    spoil(options);
    CHECK_THAT(error_of([&] { validate(options); }), contains(message));
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refuses([](RunOptions& o) { o.steps.reset(); }, "steps or of minutes");
  refuses([](RunOptions& o) { o.minutes = 3; }, "not both");
  refuses([](RunOptions& o) { o.steps = 0; }, "steps must be 1 or more");
  for (const double minutes : {0.0, -1.0, nan, HUGE_VAL})
    refuses(
        [&](RunOptions& o) {
          o.steps.reset();
          o.minutes = minutes;
        },
        "minutes must be a finite number above 0");
  for (const double minutes : {-1.0, nan}) {
    refuses([&](RunOptions& o) { o.checkpoint_minutes = minutes; }, "must be 0 or more");
    refuses([&](RunOptions& o) { o.validation_minutes = minutes; }, "must be 0 or more");
  }
}

TEST_CASE("run: checks that all files can be written before it overwrites any") {
  const TempFolder folder;
  const RunOptions good = options_in(folder, "a", 2);
  Trainer trainer = make_trainer();
  run_training(trainer, 0, good, Recorder().hooks());
  const std::string checkpoint = read_text(good.checkpoint), log = read_text(good.log);
  const auto refuses = [&](const RunOptions& options) {
    Trainer fresh = make_trainer();
    Recorder recorder;
    CHECK_THAT(error_of([&] { run_training(fresh, 0, options, recorder.hooks()); }),
               contains("can't create the file"));
    CHECK(recorder.reports.empty());
    CHECK((read_text(good.checkpoint) == checkpoint));
  };
  RunOptions bad = good;
  bad.weights = folder / "absent/a";
  refuses(bad);
  CHECK(read_text(good.log) == log);
  bad = good;
  bad.checkpoint = folder / "absent/a";
  refuses(bad);
  CHECK(read_text(good.log) == log);
  bad = good;
  bad.log = folder / "absent/a";
  refuses(bad);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 3);  // no partial files
}

TEST_CASE(
    "run: a checkpoint that another run has written meanwhile is left alone, and nothing lost") {
  const TempFolder folder;
  RunOptions options = options_in(folder, "a", 5);
  options.checkpoint_minutes = 0;
  Trainer trainer = make_trainer();
  Recorder recorder;
  RunHooks hooks = recorder.hooks();
  hooks.on_step = [&](const RunReport& report) {
    if (report.step.step == 2) {
      fs::remove(options.checkpoint);
      write_text(options.checkpoint, "another's");
      write_text(options.weights, "another's");
    }
    return true;
  };
  const std::string error = error_of([&] { run_training(trainer, 0, options, hooks); });
  CHECK_THAT(error, contains("has replaced it") && contains("what this run has done is in "));
  CHECK(read_text(options.checkpoint) == "another's");
  CHECK(read_text(options.weights) == "another's");

  const fs::path aside = folder / "a.step-2.checkpoint";
  CHECK_THAT(error, contains(fmt::format("what this run has done is in {}", aside.string())));
  Trainer resumed = make_trainer();
  resumed.restore(aside);
  CHECK(resumed.steps() == 2);
  const auto again = [&] {
    fs::remove(options.checkpoint);
    Trainer other = make_trainer();
    return error_of([&] { run_training(other, 0, options, hooks); });
  };
  CHECK_THAT(again(), contains("a.step-2-2.checkpoint"));
}

TEST_CASE("run: one that ends before its first step leaves the weights alone") {
  const TempFolder folder;
  const RunOptions options = options_in(folder, "a", 5);
  write_text(options.weights, "another's");
  TrainingOptions how = tiny_options();
  Trainer trainer(tiny_config(), how, tiny_pictures(13), Precision::f32, 1,
                  Cancel([] { return true; }));
  CHECK(run_training(trainer, 0, options, Recorder().hooks()) == RunEnd::interrupted);
  CHECK(trainer.steps() == 0);
  CHECK(read_text(options.weights) == "another's");
  CHECK(read_checkpoint_header(options.checkpoint).step == 0);
}

TEST_CASE("run: when training diverges, the last good checkpoint remains and is named") {
  const TempFolder folder;
  RunOptions options = options_in(folder, "a", 5);
  options.checkpoint_minutes = 0;
  Trainer trainer = make_trainer();
  run_training(trainer, 0, options, Recorder().hooks());

  options.steps = 10;
  Trainer reckless = make_trainer(1e30);
  reckless.restore(options.checkpoint);
  const std::string error =
      error_of([&] { run_training(reckless, 0, options, Recorder().hooks()); });
  CHECK_THAT(error, contains("training broke down at step 6"));
  CHECK_THAT(error, contains(fmt::format("The last checkpoint, {}, is of step 5.",
                                         options.checkpoint.string())));
  Trainer careful = make_trainer(1e-3);
  careful.restore(options.checkpoint);
  CHECK(careful.steps() == 5);
  CHECK_NOTHROW(run_training(careful, 0, options, Recorder().hooks()));

  // A failing validation is treated the same way.
  options.steps = 12;
  Recorder recorder;
  RunHooks hooks = recorder.hooks();
  hooks.validate = [](const Weights&) -> std::optional<double> { throw Error("no such picture"); };
  CHECK_THAT(error_of([&] { run_training(careful, 0, options, hooks); }),
             contains("no such picture\nThe last checkpoint, "));
}

// Pictures that can't be read any more from some read on.
class Vanishing : public MemoryDataset {
 public:
  Vanishing(const MemoryDataset& pictures, int reads) : MemoryDataset(pictures), reads_(reads) {}
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    if (reads_-- <= 0) throw Error(fmt::format("{}: has vanished", describe(index)));
    MemoryDataset::read(index, pixels);
  }

 private:
  mutable int reads_;
};

TEST_CASE("run: a picture that can't be read any more costs no finished step") {
  const TempFolder folder;
  const RunOptions straight = uninterrupted_run(folder, 9);

  const RunOptions options = options_in(folder, "a", 9);
  const int reads = 13 + 4 * static_cast<int>(tiny_options().batch) + 2;  // within the fifth step
  TrainingOptions how = tiny_options();
  how.learning_rate = 2e-3;
  Trainer trainer(tiny_config(), how, std::make_shared<const Vanishing>(*tiny_pictures(13), reads),
                  Precision::f32, 1);
  const std::string error =
      error_of([&] { run_training(trainer, 0, options, Recorder().hooks()); });
  CHECK_THAT(error, contains(": has vanished\nThe last checkpoint, "));
  CHECK(error.ends_with(" is of step 4."));
  CHECK(timeless_rows(options.log).size() == 5);
  CHECK_NOTHROW(load_weights(options.weights));

  Trainer resumed = make_trainer();
  const double seconds = resumed.restore(options.checkpoint);
  run_training(resumed, seconds, options, Recorder().hooks());
  CHECK((read_text(options.weights) == read_text(straight.weights)));
  CHECK(timeless_rows(options.log) == timeless_rows(straight.log));
}

TEST_CASE("run: cancelled in the middle of a step, it goes on as if it had not been") {
  const TempFolder folder;
  const RunOptions straight = options_in(folder, "straight", 5);
  int64_t polls = 0, last = std::numeric_limits<int64_t>::max();
  TrainingOptions how = tiny_options();
  how.learning_rate = 2e-3;
  const auto make = [&] {
    return Trainer(tiny_config(), how, tiny_pictures(13), Precision::f32, 1,
                   Cancel([&] { return ++polls > last; }));
  };
  {
    Trainer trainer = make();
    run_training(trainer, 0, straight, Recorder().hooks());
  }
  const int64_t of_step = polls / 5;
  CHECK(of_step > 100);
  for (const int64_t at : {2 * of_step, 2 * of_step + 1, 3 * of_step - 1}) {
    const RunOptions options = options_in(folder, fmt::format("a{}", at), 5);
    {
      Trainer trainer = make();
      polls = 0;
      last = at;
      CHECK(run_training(trainer, 0, options, Recorder().hooks()) == RunEnd::interrupted);
      CHECK(polls == at + 1);
      CHECK(trainer.steps() == 2);
      CHECK(timeless_rows(options.log).size() == 3);
      CHECK_NOTHROW(load_weights(options.weights));
    }
    last = std::numeric_limits<int64_t>::max();
    Trainer trainer = make();
    const double seconds = trainer.restore(options.checkpoint);
    CHECK(trainer.steps() == 2);
    CHECK(run_training(trainer, seconds, options, Recorder().hooks()) == RunEnd::finished);
    CHECK((read_text(options.weights) == read_text(straight.weights)));
    CHECK(timeless_rows(options.log) == timeless_rows(straight.log));
  }

  // Reading a checkpoint ends too.
  Trainer trainer = make();
  last = polls = 0;
  CHECK_THROWS_AS(trainer.restore(straight.checkpoint), Cancelled);
}

}  // namespace
}  // namespace combiner

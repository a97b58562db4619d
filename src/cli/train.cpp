// combiner train: trains a model from a config and images, or continues from a checkpoint.

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/plural.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/training_data.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "training/checkpoint.h"
#include "training/run.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

struct TrainOptions {
  std::string config, data, output, resume, checkpoint, log;
  bool resize = false;
  bool overwrite = false;
  bool skip_bad = false;
  int64_t validation_images = 500;
  RunOptions run;
  Precision precision = Precision::f32;
  int threads = 1;

  // The training options given on the command line. The others keep their defaults or, when
  // resuming, the checkpoint's values.
  std::optional<std::string> optimizer;
  std::optional<int64_t> batch, warmup_steps;
  std::optional<double> learning_rate, decay_fraction, weight_decay, clip_norm, average_decay;
  std::optional<bool> flips;
  std::optional<uint64_t> seed;
};

TrainingOptions course(const TrainOptions& given, TrainingOptions options) {
  if (given.optimizer)
    options.optimizer.kind =
        *given.optimizer == "muon" ? OptimizerKind::muon : OptimizerKind::adamw;
  if (given.weight_decay) options.optimizer.weight_decay = static_cast<float>(*given.weight_decay);
  options.batch = given.batch.value_or(options.batch);
  options.learning_rate = given.learning_rate.value_or(options.learning_rate);
  options.warmup_steps = given.warmup_steps.value_or(options.warmup_steps);
  options.decay_fraction = given.decay_fraction.value_or(options.decay_fraction);
  options.clip_norm = given.clip_norm.value_or(options.clip_norm);
  options.average_decay = given.average_decay.value_or(options.average_decay);
  options.flips = given.flips.value_or(options.flips);
  options.seed = given.seed.value_or(options.seed);
  return options;
}

// The config and the training options, from a checkpoint if resuming.
CheckpointHeader plan(const TrainOptions& options) {
  if (options.resume.empty()) {
    CheckpointHeader header = {read_config(options.config), course(options, TrainingOptions())};
    header.options.hold_out_seed = header.options.seed;
    return header;
  }
  CheckpointHeader header = read_checkpoint_header(options.resume);
  header.options = course(options, header.options);
  if (!options.config.empty() && !(read_config(options.config) == header.config))
    throw Error(
        fmt::format("{}: not the config that {} was made with; leave --config out, or train "
                    "from scratch without --resume",
                    options.config, options.resume));
  return header;
}

// Changes the extension: beside("runs/a.safetensors", ".csv") is "runs/a.csv".
fs::path beside(fs::path weights, const char* ending) {
  if (weights.extension() == ".safetensors") weights.replace_extension();
  return weights += ending;
}

// Checks that the run overwrites no other file that it reads or writes. Only the checkpoint may
// replace the one that the run resumes from.
void check_files_differ(const TrainOptions& options) {
  struct NamedFile {
    std::string_view option;
    fs::path path;
  };
  std::array<NamedFile, 5> files = {{{"--output", options.run.weights},
                                     {"--log", options.run.log},
                                     {"--config", options.config},
                                     {"--checkpoint", options.run.checkpoint},
                                     {"--resume", options.resume}}};
  for (NamedFile& file : files) {
    std::error_code ignored;  // if the path can't be examined, opening it fails with a message
    file.path = fs::is_other(file.path, ignored) ? "" : fs::weakly_canonical(file.path, ignored);
  }
  for (size_t i = 0; i < files.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const bool may_be_same = files[j].option == "--checkpoint" && files[i].option == "--resume";
      if (files[i].path == files[j].path && !files[i].path.empty() && !may_be_same)
        throw CLI::ValidationError(fmt::format("{} and {} are the same file, {}", files[j].option,
                                               files[i].option, files[i].path.string()));
    }
}

// Fills in the options that the command line leaves open. Throws CLI::ParseError if the options are
// invalid.
void complete(TrainOptions& options) {
  if (options.config.empty() && options.resume.empty())
    throw CLI::RequiredError("--config or --resume");
  if (!options.run.steps && !options.run.minutes) throw CLI::RequiredError("--steps or --minutes");
  options.run.weights = options.output;
  options.run.checkpoint = options.checkpoint.empty() ? beside(options.output, ".checkpoint")
                                                      : fs::path(options.checkpoint);
  options.run.log = options.log.empty() ? beside(options.output, ".csv") : fs::path(options.log);
  check_files_differ(options);
  check_no_input("--output", options.run.weights.string(), options.data);
  check_no_input("--checkpoint", options.run.checkpoint.string(), options.data);
  check_no_input("--log", options.run.log.string(), options.data);
  try {
    validate(course(options, TrainingOptions()), "command line");
    validate(options.run);
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

// Throws Error if the run would overwrite the checkpoint of another training.
void check_checkpoint(const TrainOptions& options) {
  const fs::path& checkpoint = options.run.checkpoint;
  std::error_code ignored;  // opening a file that can't be examined fails later
  if (options.overwrite || !fs::is_regular_file(checkpoint, ignored) ||
      fs::equivalent(checkpoint, options.resume, ignored))
    return;
  int64_t step = 0;
  try {
    step = read_checkpoint_header(checkpoint).step;
  } catch (const Error& error) {
    throw Error(
        fmt::format("{}\nIt would be overwritten; give --overwrite if it should be", error.what()));
  }
  if (step > 0)
    throw Error(fmt::format(
        "{0}: holds a training of {1} steps, which would be lost; go on with it with --resume {0}, "
        "write elsewhere, or give --overwrite",
        checkpoint.string(), step));
}

// Restores the checkpoint, if the run goes on from one, and returns the seconds that it took to get
// there.
double restored(Trainer& trainer, const TrainOptions& options) {
  if (options.resume.empty()) return 0.0;
  try {
    return trainer.restore(options.resume);
  } catch (const Cancelled&) {
    throw Interrupted(fmt::format("interrupted while {} was read", options.resume));
  }
}

void run(const TrainOptions& options) {
  const CheckpointHeader header = plan(options);
  check_checkpoint(options);
  const std::atomic<bool>& interrupted = catch_interrupts();
  Progress progress("images");
  SkippedImages skipped;
  OnBadImage on_bad;
  if (options.skip_bad)
    on_bad = [&](const std::string& why) {
      progress.clear();
      skipped.add(why);
    };
  const TrainingData data = open_training_data(
      {options.data, header.config.image, options.resize, options.validation_images,
       header.options.hold_out_seed, options.threads, on_bad},
      interrupted);
  skipped.say_count();
  const int64_t skipped_before = skipped.count();
  Trainer trainer(header.config, header.options, data.training, options.precision, options.threads,
                  cancel_if(interrupted));
  const double seconds = restored(trainer, options);
  if (!options.resume.empty() && header.training_images != data.training->size())
    say("{}: trained on {} until now, and on {} from here on{}\n", options.resume,
        plural(header.training_images, "image"), data.training->size(),
        data.kept_apart ? "; the images to validate on are drawn anew, so it may have been trained "
                          "on some of them"
                        : "");

  std::optional<double> last_validation;
  progress.update(trainer.images(), fraction_done(options.run, trainer.steps(), seconds));
  RunHooks hooks;
  hooks.validate = [&](const Weights& weights) -> std::optional<double> {
    if (data.validation->size() == 0) return std::nullopt;
    const Likelihood likelihood =
        evaluate(Model(weights.clone(), options.precision, options.threads), *data.validation,
                 {std::nullopt, options.threads, cancel_if(interrupted), on_bad},
                 [&](int64_t, int64_t, double) { return !interrupted; });
    if (interrupted) return std::nullopt;
    last_validation = likelihood.bits_per_dim;
    return last_validation;
  };
  hooks.on_step = [&](const RunReport& report) {
    std::string figure = fmt::format("{:.3f} bits/dim", report.step.bits_per_dim);
    if (last_validation) figure += fmt::format(", validation {:.4f}", *last_validation);
    progress.update(report.step.images, report.fraction_done, figure);
    if (report.validation) {
      progress.clear();
      say("step {}, {} images, {:.0f} s: validation {:.4f} bits/dim\n", report.step.step,
          report.step.images, report.seconds, *report.validation);
    }
    return !interrupted;
  };

  const RunEnd end = run_training(trainer, seconds, options.run, hooks);
  progress.clear();
  if (skipped.count() > skipped_before) skipped.say_count();
  if (end == RunEnd::interrupted)
    throw Interrupted(fmt::format("interrupted at step {}; --resume {} goes on from there",
                                  trainer.steps(), options.run.checkpoint.string()));
  if (end == RunEnd::over)
    say("{}: the training is over: it has made {} steps in {:.1f} minutes, and {} were asked "
        "for in all\n",
        options.resume, trainer.steps(), seconds / 60.0,
        options.run.steps ? fmt::format("{} steps", *options.run.steps)
                          : fmt::format("{:g} minutes", *options.run.minutes));
  fmt::print("{}: {} steps, {} images", options.output, trainer.steps(), trainer.images());
  if (last_validation) fmt::print(", validation {:.4f} bits/dim", *last_validation);
  fmt::print("\n");
}

}  // namespace

std::function<void()> train_command(CLI::App& command) {
  const auto options = std::make_shared<TrainOptions>();
  const TrainingOptions defaults;

  command.add_option("--config", options->config, "The model to train, a JSON config")
      ->type_name("FILE");
  command
      .add_option("--data", options->data,
                  "CIFAR-10 folder or .bin file, ImageNet-64 folder or .npz file, or folder of "
                  "pictures")
      ->type_name("PATH")
      ->required();
  command
      .add_option("-o,--output", options->output,
                  "Weights file to write: the moving average, as BF16")
      ->type_name("FILE")
      ->required();
  command.add_flag("--overwrite", options->overwrite,
                   "Begin anew even if that overwrites the checkpoint of another training");
  command.add_option("--resume", options->resume, "Go on from this checkpoint")->type_name("FILE");
  CLI::Option* steps = command.add_option("--steps", options->run.steps,
                                          "Steps to train, those before --resume included");
  command
      .add_option("--minutes", options->run.minutes,
                  "Minutes to train, those before --resume included")
      ->excludes(steps);

  command.add_option("--batch", options->batch, fmt::format("Images a step [{}]", defaults.batch));
  command.add_option("--lr", options->learning_rate,
                     fmt::format("Learning rate [{}]", defaults.learning_rate));
  command.add_option("--warmup", options->warmup_steps,
                     fmt::format("Steps of rising learning rate [{}]", defaults.warmup_steps));
  command.add_option("--decay", options->decay_fraction,
                     fmt::format("Last part of the training, in which the rate falls to 0 [{}]",
                                 defaults.decay_fraction));
  command
      .add_option("--optimizer", options->optimizer,
                  "muon (on the blocks' matrices, adamw on the rest) or adamw [muon]")
      ->check(one_of({"muon", "adamw"}));
  command.add_option("--weight-decay", options->weight_decay,
                     fmt::format("Decoupled weight decay [{}]", defaults.optimizer.weight_decay));
  command.add_option("--clip", options->clip_norm,
                     fmt::format("Greatest norm of the gradient [{}]", defaults.clip_norm));
  command.add_option(
      "--average", options->average_decay,
      fmt::format("Decay of the weights' moving average [{}]", defaults.average_decay));
  command.add_flag("--flips,!--no-flips", options->flips,
                   "Mirror every other image left to right [on]");
  command.add_option_function<std::string>(
      "--seed", [options](const std::string& text) { options->seed = parse_seed(text); },
      fmt::format("Of the first weights and the data's order [{}]", defaults.seed));
  command.add_flag("--resize", options->resize,
                   "Cut and resample pictures of another size to the model's");
  add_skip_bad_option(command, options->skip_bad);

  command
      .add_option("--validation-images", options->validation_images,
                  "Images to measure on: of the data's valid/, val/ or test/, if it has one; else "
                  "drawn from the training images and kept apart")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--validation-minutes", options->run.validation_minutes,
                  "Time between measurements")
      ->capture_default_str();
  command
      .add_option("--checkpoint", options->checkpoint,
                  "Checkpoint to write; by default beside the weights, .checkpoint")
      ->type_name("FILE");
  command
      .add_option("--checkpoint-minutes", options->run.checkpoint_minutes,
                  "Time between checkpoints")
      ->capture_default_str();
  command
      .add_option("--log", options->log, "CSV log to write; by default beside the weights, .csv")
      ->type_name("FILE");
  add_training_precision_option(command, options->precision);
  add_threads_option(command, options->threads);
  command.parse_complete_callback([options] { complete(*options); });
  return [options] { run(*options); };
}

}  // namespace combiner

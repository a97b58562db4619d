// combiner train: trains a model from a config and images, or continues from a checkpoint.

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/plural.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/shipped_models.h"
#include "cli/training_data.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "training/checkpoint.h"
#include "training/initialise.h"
#include "training/log.h"
#include "training/run.h"
#include "training/take_over.h"
#include "weights/weights_file.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

constexpr double kMostMinutes = 1e7;  // 19 years

struct TrainOptions {
  std::string config, output, init, resume, checkpoint, log;
  std::vector<std::string> data;
  bool resize = false;
  bool overwrite = false;
  bool skip_bad = false;
  int64_t validation_images = 500;
  RunOptions run;
  int threads = 1;

  // What is given on the command line. The others keep their defaults or, when resuming, the
  // checkpoint's values.
  std::optional<std::string> optimizer, precision;
  std::optional<int64_t> batch, warmup_steps;
  std::optional<double> learning_rate, decay_fraction, clip_norm, average_decay;
  std::optional<float> weight_decay;
  std::optional<bool> flips;
  std::optional<uint64_t> seed;
};

TrainingOptions course(const TrainOptions& given, TrainingOptions options) {
  if (given.optimizer) options.optimizer.kind = *optimizer_named(*given.optimizer);
  if (given.weight_decay) options.optimizer.weight_decay = *given.weight_decay;
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

Precision precision_of(const TrainOptions& given, const CheckpointHeader& checkpoint) {
  const Precision fastest = fastest_precision(Work::whole_images);
  if (given.precision) return precision_named(*given.precision).value_or(fastest);
  return checkpoint.precision.value_or(fastest);
}

// The config and the training options, from a checkpoint if resuming. `init` is the model to begin
// with, if there is one.
CheckpointHeader plan(const TrainOptions& options, const std::optional<Weights>& init) {
  if (options.resume.empty()) {
    CheckpointHeader header = {options.config.empty() ? init->config : read_config(options.config),
                               course(options, TrainingOptions())};
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
  std::array<NamedFile, 6> files = {{{"--output", options.run.weights},
                                     {"--log", options.run.log},
                                     {"--config", options.config},
                                     {"--init", options.init},
                                     {"--checkpoint", options.run.checkpoint},
                                     {"--resume", options.resume}}};
  for (NamedFile& file : files) {
    std::error_code ignored;  // if the path can't be examined, opening it fails with a message
    file.path = file.path.empty() || fs::is_other(file.path, ignored)
                    ? ""
                    : fs::weakly_canonical(fs::absolute(file.path, ignored), ignored);
  }
  for (size_t i = 0; i < files.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const bool may_be_same = files[j].option == "--checkpoint" && files[i].option == "--resume";
      if (files[i].path == files[j].path && !files[i].path.empty() && !may_be_same)
        throw CLI::ValidationError(fmt::format("{} and {} are the same file, {}", files[j].option,
                                               files[i].option, files[i].path.string()));
    }
}

// Data given twice would be trained on where it is held out for validation.
void check_data_differ(const std::vector<std::string>& data) {
  std::error_code ignored;  // what can't be examined can't be opened either
  for (size_t i = 0; i < data.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (fs::equivalent(data[i], data[j], ignored))
        throw CLI::ValidationError(fmt::format("--data {} and --data {} are the same data",
                                               printable(data[j]), printable(data[i])));
}

// Fills in the options that the command line leaves open. Throws CLI::ParseError if the options are
// invalid.
void complete(TrainOptions& options) {
  if (options.config.empty() && options.init.empty() && options.resume.empty())
    throw CLI::RequiredError("--config, --init or --resume");
  if (!options.run.steps && !options.run.minutes) throw CLI::RequiredError("--steps or --minutes");
  options.run.weights = options.output;
  options.run.checkpoint = options.checkpoint.empty() ? beside(options.output, ".checkpoint")
                                                      : fs::path(options.checkpoint);
  options.run.log = options.log.empty() ? beside(options.output, ".csv") : fs::path(options.log);
  if (!options.init.empty()) options.init = find_model(options.init).string();
  check_files_differ(options);
  check_data_differ(options.data);
  check_no_standard_output("--output", options.output);
  check_no_standard_output("--checkpoint", options.checkpoint);
  check_no_standard_output("--log", options.log);
  for (const std::string& data : options.data) {
    check_no_input("--output", options.run.weights.string(), data);
    check_no_input("--checkpoint", options.run.checkpoint.string(), data);
    check_no_input("--log", options.run.log.string(), data);
  }
}

// Throws Error if the run would overwrite the weights, the log or the checkpoint of another
// training. The weights don't replace another kind of file even if that was asked for. Returns
// which weights are there.
WeightsThere check_other_training(const TrainOptions& options, const CheckpointHeader& header) {
  const fs::path& checkpoint = options.run.checkpoint;
  const WeightsThere weights = weights_at(options.run.weights);
  std::error_code ignored;  // opening a file that can't be examined fails later
  if (options.overwrite || fs::equivalent(checkpoint, options.resume, ignored)) return weights;
  int64_t step = 0;
  try {
    if (fs::is_regular_file(checkpoint, ignored)) step = read_checkpoint_header(checkpoint).step;
  } catch (const Error& error) {
    throw Error(
        fmt::format("{}\nIt would be overwritten; give --overwrite if it should be", error.what()));
  }
  if (step > 0)
    throw Error(fmt::format(
        "{0}: holds a training of {1}, which would be lost; go on with it with --resume {0}, "
        "write elsewhere, or give --overwrite",
        checkpoint.string(), plural(step, "step")));
  if (has_rows_after(options.run.log, header.step))
    throw Error(
        fmt::format("{}: is the log of another training, of which rows would be lost; write "
                    "elsewhere, or give --overwrite",
                    options.run.log.string()));
  if (weights != WeightsThere::no)
    throw Error(
        fmt::format("{}: holds weights, which would be lost; write elsewhere, or give --overwrite",
                    options.output));
  return weights;
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

// What a new training begins with: random weights, and in their place those of `init` that fit. A
// checkpoint has its own.
Weights first_weights(const TrainOptions& options, const CheckpointHeader& header,
                      const std::optional<Weights>& init) {
  if (!options.resume.empty()) return Weights(header.config);
  Weights weights = initial_weights(header.config, header.options.seed);
  if (!init) return weights;
  try {
    for (const std::string& line : take_over(*init, weights)) say("{}: {}\n", options.init, line);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", options.init, error.what()));
  }
  return weights;
}

// What the ranks have cost each other.
void say_traffic(const Cluster& cluster, int64_t steps) {
  const ClusterTraffic traffic = cluster.traffic();
  if (cluster.size() == 1 || steps == 0 || traffic.summing_seconds == 0) return;
  const auto megabytes = [&](int64_t bytes) {
    return static_cast<double>(bytes) / 1e6 / static_cast<double>(steps);
  };
  say("{} ranks: each sent {:.3f} MB a step to sum gradients, {:.0f} % of the time for it hidden "
      "behind the backward pass, and {:.3f} MB of weights\n",
      cluster.size(), megabytes(traffic.bytes_summed),
      100 * (1 - traffic.waiting_seconds / traffic.summing_seconds),
      megabytes(traffic.bytes_gathered));
}

// Measures weights on the images that are held out.
class Validation {
 public:
  // `on_bad` may be empty. All must outlive the object.
  Validation(const Dataset& images, Precision precision, int threads,
             const std::atomic<bool>& interrupted, const OnBadImage& on_bad, Cluster& cluster)
      : images_(images),
        precision_(precision),
        threads_(threads),
        interrupted_(interrupted),
        on_bad_(on_bad),
        cluster_(cluster) {}

  // The bits/dim; nullopt if there are no images or it was interrupted.
  std::optional<double> operator()(const Weights& weights) {
    if (images_.size() == 0) return std::nullopt;
    Progress progress("validation images");
    progress.update(0, 0);
    OnBadImage leave_out;
    int64_t left_out = 0;
    if (on_bad_)
      leave_out = [&](const std::string& why) {
        ++left_out;
        progress.clear();
        on_bad_(why);
      };
    const Likelihood likelihood =
        evaluate(Model(weights.clone(), precision_, threads_), images_,
                 {std::nullopt, threads_, cancel_if(interrupted_), leave_out, &cluster_},
                 [&](int64_t done, int64_t count, double mean) {
                   progress.update(done, static_cast<double>(done) / static_cast<double>(count),
                                   fmt::format("{:.4f} bits/dim", mean));
                 });
    // Another rank may have been interrupted.
    const int64_t seen = std::ssize(likelihood.images) + left_out;
    cut_short_ = interrupted_ || seen < images_.size();
    if (cut_short_ || likelihood.images.empty()) return std::nullopt;
    last_ = likelihood.bits_per_dim;
    return last_;
  }

  // What was measured last.
  const std::optional<double>& last() const { return last_; }

  // On rank 0, whether the last measurement was interrupted, on any rank.
  bool cut_short() const { return cut_short_; }

 private:
  const Dataset& images_;
  Precision precision_;
  int threads_;
  const std::atomic<bool>& interrupted_;
  const OnBadImage& on_bad_;
  Cluster& cluster_;
  std::optional<double> last_;
  bool cut_short_ = false;
};

void run(const TrainOptions& options, Cluster& cluster) {
  std::optional<Weights> init;
  if (!options.init.empty()) init = load_weights(options.init);
  const CheckpointHeader header = plan(options, init);
  FileLock lock;
  WeightsThere weights_before = WeightsThere::no;
  if (cluster.rank() == 0) {
    lock.take(options.run.checkpoint);
    weights_before = check_other_training(options, header);
  }
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
  const Precision precision = precision_of(options, header);
  Trainer trainer(first_weights(options, header, init), header.options, data.training, precision,
                  options.threads, cancel_if(interrupted), cluster);
  init.reset();
  const double seconds = restored(trainer, options);
  const int64_t steps_before = trainer.steps();
  if (!options.resume.empty() && header.training_images != data.training->size())
    say("{}: trained on {} until now, and on {} from here on{}\n", options.resume,
        plural(header.training_images, "image"), data.training->size(),
        data.kept_apart
            ? "; it may have been trained on some of the images that it is validated on now"
            : "");

  std::optional<double> final_validation;
  Validation validation(*data.validation, precision, options.threads, interrupted, on_bad, cluster);
  progress.update(trainer.images(), fraction_done(options.run, trainer.steps(), seconds));
  RunHooks hooks;
  hooks.validate = [&](const Weights& weights) {
    progress.clear();
    return validation(weights);
  };
  hooks.on_step = [&](const RunReport& report) {
    std::string figure = fmt::format("{:.3f} bits/dim", report.step.bits_per_dim);
    if (validation.last()) figure += fmt::format(", validation {:.4f}", *validation.last());
    progress.update(report.step.images, report.fraction_done, figure);
    final_validation = report.validation;
    if (report.validation) {
      progress.clear();
      say("step {}, {}, {:.0f} s: validation {:.4f} bits/dim\n", report.step.step,
          plural(report.step.images, "image"), report.seconds, *report.validation);
    }
    return !interrupted;
  };

  const RunEnd end = run_training(trainer, seconds, options.run, hooks, lock);
  progress.clear();
  if (skipped.count() > skipped_before) skipped.say_count();
  if (end == RunEnd::interrupted)
    throw Interrupted(fmt::format("interrupted at step {}; --resume {} goes on from there",
                                  trainer.steps(), options.run.checkpoint.string()));
  if (end == RunEnd::over)
    say("{}: the training is over: it has made {} in {:.1f} minutes; asked for in all: {}\n",
        options.resume, plural(trainer.steps(), "step"), seconds / 60.0,
        options.run.steps ? plural(*options.run.steps, "step")
                          : fmt::format("{:g} min", *options.run.minutes));
  if (end == RunEnd::over && weights_before == WeightsThere::yes) {
    say("{}: was there already, and is left as it is\n", options.output);
    return;
  }
  say_traffic(cluster, trainer.steps() - steps_before);
  put("{}: {}, {}", options.output, plural(trainer.steps(), "step"),
      plural(trainer.images(), "image"));
  if (final_validation) put(", validation {:.4f} bits/dim", *final_validation);
  put("\n");
  if (cluster.rank() == 0 && end == RunEnd::finished && validation.cut_short())
    throw Interrupted("interrupted: the training is finished, but not measured");
}

}  // namespace

ClusterAction train_command(CLI::App& command) {
  const auto options = std::make_shared<TrainOptions>();
  const TrainingOptions defaults;

  command
      .add_option("--config", options->config,
                  "The model to train, a JSON config; with --init or --resume, by default theirs")
      ->type_name("FILE");
  command
      .add_option("--data", options->data,
                  "CIFAR-10 folder or .bin file, ImageNet-64 folder or .npz file, or folder of "
                  "pictures; once or several times, to train on all of them")
      ->type_name("PATH")
      ->allow_extra_args(false)
      ->required();
  command
      .add_option("-o,--output", options->output,
                  "Weights file to write: the moving average, as BF16")
      ->type_name("FILE")
      ->required();
  command.add_flag("--overwrite", options->overwrite,
                   "Write even if that overwrites the weights, the checkpoint or the log of "
                   "another training");
  CLI::Option* const init =
      command
          .add_option("--init", options->init,
                      "Begin with the weights of this file or shipped model; with --config also in "
                      "a model of another image size or depth, as far as they fit")
          ->type_name("FILE");
  command.add_option("--resume", options->resume, "Go on from this checkpoint")
      ->type_name("FILE")
      ->excludes(init);
  CLI::Option* const steps = add_number(command, "--steps", options->run.steps, {1},
                                        "Steps to train, those before --resume included");
  add_number(command, "--minutes", options->run.minutes, {0, kMostMinutes, true},
             "Minutes to train, those before --resume included")
      ->excludes(steps);

  add_number(command, "--batch", options->batch, {1, kMostImagesPerStep},
             fmt::format("Images per step [{}]", defaults.batch));
  add_number(command, "--lr", options->learning_rate, {.low = 0, .above_low = true},
             fmt::format("Learning rate [{}]", defaults.learning_rate))
      ->type_name("X");
  add_number(
      command, "--warmup", options->warmup_steps, {0},
      fmt::format("Warm-up steps, over which the learning rate rises [{}]", defaults.warmup_steps));
  add_number(command, "--decay", options->decay_fraction, {0, 1},
             fmt::format("Part of the training, at its end, over which the rate falls to 0 [{}]",
                         defaults.decay_fraction))
      ->type_name("X");
  command
      .add_option("--optimizer", options->optimizer,
                  "muon (on the blocks' matrices, adamw on the rest) or adamw [muon]")
      ->check(one_of({"muon", "adamw"}));
  add_number(command, "--weight-decay", options->weight_decay, {0},
             fmt::format("Decoupled weight decay [{}]", defaults.optimizer.weight_decay))
      ->type_name("X");
  add_number(command, "--clip", options->clip_norm, {.low = 0, .above_low = true},
             fmt::format("Greatest norm of the gradient [{}]", defaults.clip_norm))
      ->type_name("X");
  add_number(command, "--average", options->average_decay, {0, 1},
             fmt::format("Decay of the weights' moving average [{}]", defaults.average_decay))
      ->type_name("X");
  // A function, because some versions of CLI11 set what a flag is bound to even if it is not given.
  command.add_flag_function(
      "--flips,!--no-flips", [options](int64_t count) { options->flips = count > 0; },
      "Flip half of the images, drawn at random, left to right [on]");
  add_number(command, "--seed", options->seed, {0},
             fmt::format("Seed of the first weights and the data's order [{}]", defaults.seed))
      ->type_name("S");
  command.add_flag("--resize", options->resize,
                   "Centre-crop and resample pictures of another size to the model's");
  add_skip_bad_option(command, options->skip_bad);

  add_number(command, "--validation-images", options->validation_images, {0},
             "Images to measure on: of the data's valid/, val/ or test/, if it has one; else drawn "
             "from the training images and held out");
  add_number(command, "--validation-minutes", options->run.validation_minutes, {0, kMostMinutes},
             "Time between measurements");
  command
      .add_option("--checkpoint", options->checkpoint,
                  "Checkpoint to write; by default beside the weights, .checkpoint")
      ->type_name("FILE");
  add_number(command, "--checkpoint-minutes", options->run.checkpoint_minutes, {0, kMostMinutes},
             "Time between checkpoints");
  command
      .add_option("--log", options->log, "CSV log to write; by default beside the weights, .csv")
      ->type_name("FILE");
  add_training_precision_option(command, options->precision);
  add_threads_option(command, options->threads);
  command.parse_complete_callback([options] { complete(*options); });
  return [options](Cluster& cluster) { run(*options, cluster); };
}

}  // namespace combiner

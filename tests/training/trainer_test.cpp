#include "training/trainer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>

#include "catch.h"
#include "combiner/likelihood.h"
#include "error_bounds.h"
#include "error_of.h"
#include "file_text.h"
#include "model_of.h"
#include "temp_folder.h"
#include "training/checkpoint.h"
#include "training/data_sample.h"
#include "training/initialise.h"
#include "training/tiny_training.h"
#include "weights/safetensors.h"
#include "weights/weights_file.h"
#include "worse.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

namespace fs = std::filesystem;

bool same_bits(const Weights& a, const Weights& b) {
  return a.values.size() == b.values.size() &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

double mean_bits_per_dim(const Weights& weights, const Dataset& images) {
  return evaluate(model_of(weights), images).bits_per_dim;
}

// Makes some steps and returns the report of each.
std::vector<StepReport> train(Trainer& trainer, int steps) {
  std::vector<StepReport> reports;
  for (int i = 0; i < steps; ++i) reports.push_back(trainer.step(0.0));
  return reports;
}

double mean_loss(const std::vector<StepReport>& reports, size_t first, size_t count) {
  double sum = 0;
  for (size_t i = first; i < first + count; ++i) sum += reports[i].bits_per_dim;
  return sum / static_cast<double>(count);
}

TEST_CASE("trainer: the loss falls") {
  for (const OptimizerKind kind : {OptimizerKind::muon, OptimizerKind::adamw}) {
    TrainingOptions options = tiny_options();
    options.optimizer.kind = kind;
    options.learning_rate = 1e-2;
    options.average_decay = 0.9;
    Trainer trainer(tiny_config(), options, tiny_pictures(200), Precision::f32, 1);
    const std::vector<StepReport> reports = train(trainer, 150);
    CHECK_THAT(reports[0].bits_per_dim, WithinAbs(8.0, 0.3));  // at first the model knows nothing
    CHECK(mean_loss(reports, 140, 10) < 6.0);
    // The average model predicts other pictures of the same kind as well.
    CHECK(mean_bits_per_dim(trainer.average(), *tiny_pictures(50, 2)) < 6.0);
  }
}

TEST_CASE("trainer: the loss is the mean of the images' bits/dim") {
  const auto pictures = tiny_pictures(6);
  TrainingOptions options = tiny_options();
  options.batch = 6;
  options.flips = false;
  options.learning_rate = 1e-4;
  options.warmup_steps = 0;
  options.optimizer.kind = OptimizerKind::adamw;
  Trainer trainer(tiny_config(), options, pictures, Precision::f32, 2);
  for (int step = 0; step < 3; ++step) {
    const double expected = mean_bits_per_dim(trainer.weights(), *pictures);
    const StepReport report = trainer.step(0.0);
    CHECK_THAT(report.bits_per_dim, WithinRel(expected, 1e-6));
    CHECK(report.step == step + 1);
    CHECK(report.images == 6 * (step + 1));
    CHECK(report.learning_rate == 1e-4);
  }
}

// The norm of the gradient of all images' mean nats per sub-pixel.
double gradient_norm(const Weights& weights, const Dataset& images) {
  const ModelWeights packed = packed_of(weights, Precision::f32, PackedFor::training);
  GradientPass<float> pass(weights, packed);
  std::vector<float> gradient(weights.values.size());
  std::vector<uint8_t> pixels(static_cast<size_t>(weights.config.dims()));
  const auto scale = 1.0f / static_cast<float>(images.size() * weights.config.dims());
  for (int64_t i = 0; i < images.size(); ++i) {
    images.read(i, pixels);
    pass.run(pixels.data(), scale, gradient.data());
  }
  double squares = 0;
  for (const float value : gradient) squares += double{value} * value;
  return std::sqrt(squares);
}

TEST_CASE("trainer: reports the norm of the mean nats' gradient, and clips it") {
  const auto pictures = tiny_pictures(4);
  TrainingOptions options = tiny_options();
  options.flips = false;
  options.warmup_steps = 0;
  options.optimizer.kind = OptimizerKind::adamw;
  Trainer trainer(tiny_config(), options, pictures, Precision::f32, 2);
  const double expected = gradient_norm(trainer.weights(), *pictures);
  const StepReport report = trainer.step(0.0);
  CHECK_THAT(report.gradient_norm, WithinRel(expected, 1e-5));

  // AdamW's first step hardly depends on the gradient's size, but its first moment does: it is 1 -
  // beta1 of the clipped gradient.
  const auto moment_norm = [&](double clip) {
    const TempFolder folder;
    options.clip_norm = clip;
    Trainer clipped(tiny_config(), options, pictures, Precision::f32, 1);
    clipped.step(0.0);
    clipped.save(folder / "c", 0);
    const SafetensorsFile file = SafetensorsFile::open(folder / "c");
    std::vector<float> moment(trainer.weights().values.size());
    to_floats(*file.find("moment1"), moment);
    double sum = 0;
    for (const float value : moment) sum += double{value} * value;
    return std::sqrt(sum);
  };
  CHECK_THAT(moment_norm(1e-3), WithinRel(0.1 * 1e-3, 1e-4));
  CHECK_THAT(moment_norm(1e3), WithinRel(0.1 * report.gradient_norm, 1e-4));
}

TEST_CASE("trainer: mirrors the images that the data order marks") {
  const auto pictures = tiny_pictures(1);
  const ModelConfig config = tiny_config();
  std::vector<uint8_t> pixels(static_cast<size_t>(config.dims())), mirrored(pixels.size());
  pictures->read(0, pixels);
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t row = i / (3 * kTinySide), column = i / 3 % kTinySide, channel = i % 3;
    mirrored[(row * kTinySide + kTinySide - 1 - column) * 3 + channel] = pixels[i];
  }
  REQUIRE(mirrored != pixels);
  const MemoryDataset mirror(kTinySide, kTinySide, mirrored);
  int flips = 0;
  TrainingOptions options = tiny_options();
  options.batch = 1;
  for (options.seed = 0; options.seed < 8; ++options.seed) {
    Trainer trainer(config, options, pictures, Precision::f32, 1);
    const bool flipped = DataOrder(options.seed, 1, true).at(0).flipped;
    const double expected = mean_bits_per_dim(trainer.weights(), flipped ? mirror : *pictures);
    CHECK_THAT(trainer.step(0.0).bits_per_dim, WithinRel(expected, 1e-6));
    flips += flipped;
  }
  CHECK((flips > 0 && flips < 8));
}

TEST_CASE("trainer: the average follows the weights, and follows faster at first") {
  TrainingOptions options = tiny_options();
  options.average_decay = 0.3;
  Trainer trainer(tiny_config(), options, tiny_pictures(20), Precision::f32, 1);
  std::vector<double> average = to_doubles(trainer.weights());
  for (int step = 1; step <= 8; ++step) {
    trainer.step(0.0);
    const double decay = std::min(0.3, step / (step + 10.0));
    double worst = 0;
    for (size_t i = 0; i < average.size(); ++i) {
      average[i] = decay * average[i] + (1 - decay) * trainer.weights().values[i];
      worst = worse(worst, std::abs(average[i] - trainer.average().values[i]));
    }
    CHECK(worst < 1e-6);
  }
}

// Sums over the parameters, and the update of the average, are made for 2^16 of them at a time.
TEST_CASE("trainer: the norm and the average cover all parameters of a larger model") {
  ModelConfig config = tiny_config();
  config.embed_dim = 64;
  Random random(1);
  Weights weights = random_weights(config, random);  // so that every part of the gradient counts
  REQUIRE(weights.values.size() > 3 * 65536);
  REQUIRE(weights.values.size() % 65536 != 0);
  const std::vector<double> first = to_doubles(weights);
  const auto pictures = tiny_pictures(2);
  TrainingOptions options = tiny_options();
  options.batch = 2;
  options.flips = false;
  options.warmup_steps = 0;
  Trainer trainer(std::move(weights), options, pictures, Precision::f32, 2);
  const double norm = gradient_norm(trainer.weights(), *pictures);
  // Up to 1024 squares are added up in float; the root halves the error.
  CHECK_THAT(trainer.step(0.0).gradient_norm, WithinRel(norm, 1025 * kFloatUnit));

  const double decay = 1.0 / 11;  // of the average after its first step
  ErrorBounds bounds;
  size_t unchanged = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    const double value = trainer.weights().values[i];
    const double old = decay * first[i], added = (1 - decay) * value;
    // Rounds the factor, the product and the sum.
    bounds.add(trainer.average().values[i], old + added,
               4 * kFloatUnit * (std::abs(old) + std::abs(added)));
    unchanged += value == first[i];
  }
  CHECK(bounds.worst() <= 1);
  CHECK(unchanged < first.size() / 100);
}

TEST_CASE("trainer: a resumed run makes the same steps bit for bit") {
  struct Setting {
    Precision precision;
    OptimizerKind kind;
    int threads;
    int64_t batch;
  };
  for (const Setting& setting :
       {Setting{Precision::f32, OptimizerKind::muon, 1, 4},
        Setting{Precision::f32, OptimizerKind::muon, 2, 4},
        Setting{Precision::f32, OptimizerKind::adamw, 1, 3},
        Setting{Precision::bf16, OptimizerKind::muon, 2, 3},
        Setting{Precision::f32, OptimizerKind::muon, 3, 2}}) {  // one thread has no images
    const TempFolder folder;
    TrainingOptions options = tiny_options();
    options.optimizer.kind = setting.kind;
    options.batch = setting.batch;
    const auto pictures = tiny_pictures(13);  // so that a pass ends within a batch
    Trainer straight(tiny_config(), options, pictures, setting.precision, setting.threads);
    train(straight, 5);
    straight.save(folder / "a.checkpoint", 42.5);
    // From other weights, so that what is left of them, such as packed for products, would show.
    Trainer resumed(initial_weights(tiny_config(), options.seed + 1), options, pictures,
                    setting.precision, setting.threads);
    CHECK_FALSE(same_bits(resumed.weights(), straight.weights()));
    CHECK(resumed.restore(folder / "a.checkpoint") == 42.5);
    CHECK(resumed.steps() == 5);
    CHECK(resumed.images() == 5 * setting.batch);
    CHECK(same_bits(resumed.weights(), straight.weights()));
    CHECK(same_bits(resumed.average(), straight.average()));
    for (int step = 0; step < 6; ++step) {
      const StepReport expected = straight.step(0.0), report = resumed.step(0.0);
      CHECK(report.step == expected.step);
      CHECK(report.images == expected.images);
      CHECK(report.bits_per_dim == expected.bits_per_dim);
      CHECK(report.gradient_norm == expected.gradient_norm);
      CHECK(report.learning_rate == expected.learning_rate);
    }
    CHECK(same_bits(resumed.weights(), straight.weights()));
    CHECK(same_bits(resumed.average(), straight.average()));
  }
}

TEST_CASE("trainer: threads change the result only by rounding, the seed changes everything") {
  const auto losses = [](int threads, uint64_t seed) {
    TrainingOptions options = tiny_options();
    options.seed = seed;
    Trainer trainer(tiny_config(), options, tiny_pictures(20), Precision::f32, threads);
    return train(trainer, 10);
  };
  const auto one = losses(1, 1), four = losses(4, 1), other = losses(1, 2);
  for (size_t i = 0; i < one.size(); ++i) {
    CHECK_THAT(four[i].bits_per_dim, WithinRel(one[i].bits_per_dim, 1e-4));
    CHECK(other[i].bits_per_dim != one[i].bits_per_dim);
  }
}

TEST_CASE("trainer: bf16 stays close to f32") {
  const auto losses = [](Precision precision) {
    TrainingOptions options = tiny_options();
    options.learning_rate = 1e-2;
    Trainer trainer(tiny_config(), options, tiny_pictures(100), precision, 1);
    return train(trainer, 100);
  };
  const auto f32 = losses(Precision::f32), bf16 = losses(Precision::bf16);
  CHECK_THAT(bf16[0].bits_per_dim, WithinAbs(f32[0].bits_per_dim, 0.01));
  CHECK(bf16[0].bits_per_dim != f32[0].bits_per_dim);  // proves that bf16 was used
  CHECK_THAT(bf16[0].gradient_norm, WithinRel(f32[0].gradient_norm, 0.02));
  CHECK_THAT(mean_loss(bf16, 90, 10), WithinAbs(mean_loss(f32, 90, 10), 0.05));
}

TEST_CASE("trainer: refuses unusable images and options") {
  const auto refuses = [](const ModelConfig& config, const TrainingOptions& options,
                          std::shared_ptr<const Dataset> data, const std::string& message) {
    CHECK_THAT(error_of([&] { Trainer(config, options, data, Precision::f32, 1); }),
               contains(message));
  };
  const TrainingOptions options = tiny_options();
  CHECK_THAT(
      error_of([&] { Trainer(tiny_config(), options, tiny_pictures(3), Precision::int8, 1); }),
      contains("int8 weights can't be trained"));
  refuses(tiny_config(), options, tiny_pictures(0), "the data set has no images");
  ModelConfig config = tiny_config();
  config.image.width = 5;
  refuses(config, options, tiny_pictures(3),
          "the model takes images of 5x4 pixels, the data set has 4x4");
  config = small_config(Tokens::subpixel, Attention::full, kTinySide, kTinySide);
  config.image.channels = 1;
  refuses(config, options, tiny_pictures(3), "the model's images have 1 channels, expected 3");
  TrainingOptions bad = options;
  bad.batch = 0;
  refuses(tiny_config(), bad, tiny_pictures(3), "batch is 0");
}

// A checkpoint after two steps, which tests can modify.
class Checkpoint {
 public:
  Checkpoint() {
    Trainer trainer = make();
    train(trainer, 2);
    trainer.save(path, 7);
    const SafetensorsFile file = SafetensorsFile::open(path);
    metadata = file.metadata();
    for (const TensorView& tensor : file.tensors()) {
      tensors[tensor.name].resize(static_cast<size_t>(tensor.elements()));
      to_floats(tensor, tensors[tensor.name]);
    }
  }

  static Trainer make(int64_t images = 9, const TrainingOptions& options = tiny_options(),
                      const ModelConfig& config = tiny_config()) {
    return Trainer(config, options, tiny_pictures(images), Precision::f32, 1);
  }

  void write() const {
    std::vector<TensorView> views;
    for (const auto& [name, values] : tensors)
      views.push_back({name,
                       DType::f32,
                       {static_cast<int64_t>(values.size())},
                       std::as_bytes(std::span(values))});
    write_safetensors(path, metadata, views);
  }

  // The message of restoring it, without the path that every message starts with.
  std::string complaint(Trainer trainer = make()) const {
    write();
    return after_path(error_of([&] { trainer.restore(path); }));
  }
  std::string header_complaint() const {
    write();
    return after_path(error_of([&] { read_checkpoint_header(path); }));
  }

  TempFolder folder;
  fs::path path = folder / "a.checkpoint";
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::vector<float>> tensors;

 private:
  std::string after_path(const std::string& message) const {
    const std::string start = path.string() + ": ";
    return message.starts_with(start) ? message.substr(start.size()) : "NO PATH IN " + message;
  }
};

TEST_CASE("checkpoint: contains its config and options") {
  const Checkpoint checkpoint;
  const CheckpointHeader header = read_checkpoint_header(checkpoint.path);
  CHECK(header.config == tiny_config());
  CHECK(to_json(header.options) == to_json(tiny_options()));
}

TEST_CASE("checkpoint: a damaged or wrong file is refused") {
  Checkpoint good;
  good.write();
  Trainer trainer = Checkpoint::make();
  CHECK(trainer.restore(good.path) == 7);

  const auto with = [](const std::string& key, const std::string& text) {
    Checkpoint checkpoint;
    checkpoint.metadata[key] = text;
    return checkpoint.complaint();
  };
  CHECK(with("format", "combiner-checkpoint-9") ==
        "checkpoint format is 'combiner-checkpoint-9', expected 'combiner-checkpoint-1'");
  CHECK_THAT(with("config", "{}"), contains("config field"));
  CHECK_THAT(with("training", "{}"), contains("bad training options"));
  for (const char* text : {"", "-1", "two", "3x", "99999999999999999999", "1.5"})
    CHECK(with("step", text) == std::string("step in the metadata is '") + text +
                                    "', expected a number from 0 to 1000000000000000");
  CHECK_THAT(with("images", "-4"), contains("images in the metadata is '-4'"));
  CHECK_THAT(with("seconds", "nan"), contains("seconds in the metadata is 'nan'"));
  for (const char* key : {"config", "training", "training_images", "step", "images", "seconds"}) {
    Checkpoint checkpoint;
    checkpoint.metadata.erase(key);
    CHECK(checkpoint.complaint() ==
          std::string("the metadata has no ") + key + "; is this a training checkpoint?");
  }
  Checkpoint weights;
  weights.metadata.erase("format");
  CHECK_THAT(weights.complaint(), contains("is a model's weights, not a training checkpoint"));
  weights.metadata.erase("config");
  CHECK(weights.complaint() == "the metadata has no format; is this a training checkpoint?");
  Checkpoint headless;
  headless.metadata.erase("training");
  CHECK_THAT(headless.header_complaint(), contains("the metadata has no training"));

  for (const auto& [name, values] : good.tensors) {
    Checkpoint checkpoint;
    checkpoint.tensors.erase(name);
    CHECK(checkpoint.complaint() == "tensor " + name + " is missing");
    checkpoint.tensors[name].resize(values.size() - 1);
    CHECK_THAT(checkpoint.complaint(), contains("tensor \"" + name + "\" has " +
                                                std::to_string(values.size() - 1) + " elements"));
  }
}

TEST_CASE("checkpoint: only a matching trainer can restore it") {
  Checkpoint checkpoint;
  ModelConfig config = tiny_config();
  config.num_heads = 3;  // has the same number of parameters
  CHECK_THAT(checkpoint.complaint(Checkpoint::make(9, tiny_options(), config)),
             contains("another config"));
  TrainingOptions options = tiny_options();
  options.optimizer.kind = OptimizerKind::adamw;
  CHECK_THAT(checkpoint.complaint(Checkpoint::make(9, options)), contains("another optimiser"));
  // The training options may be changed.
  options = tiny_options();
  options.learning_rate = 1e-4;
  options.batch = 2;
  Trainer slower = Checkpoint::make(9, options);
  slower.restore(checkpoint.path);
  CHECK(slower.step(0.0).images == 2 * 4 + 2);
}

TEST_CASE("checkpoint: any byte changed is noticed") {
  const Checkpoint good;
  const std::string whole = read_text(good.path);
  Trainer trainer = Checkpoint::make();
  const auto restores = [&](const std::string& text) {
    return error_of([&] { trainer.restore(write_text(good.folder / "changed", text)); }) ==
           "no Error was thrown";
  };
  REQUIRE(restores(whole));
  for (size_t at = 0; at < whole.size(); at += at < 3000 ? 3 : 499) {
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ (1 << at % 8));
    if (restores(text)) FAIL("byte " << at << " of " << whole.size());
  }
}

TEST_CASE("checkpoint: as many other images are refused, more or fewer are not") {
  Checkpoint checkpoint;
  const auto trainer_of = [](std::shared_ptr<const Dataset> data) {
    return Trainer(tiny_config(), tiny_options(), std::move(data), Precision::f32, 1);
  };
  CHECK(checkpoint.complaint(trainer_of(tiny_pictures(9, 2))) ==
        "the checkpoint was trained on 9 other images; go on with the same data set and, if it is "
        "of several, in the same order");
  for (const int64_t images : {8, 10})
    CHECK_THAT(checkpoint.complaint(trainer_of(tiny_pictures(images, 2))), contains("no Error"));
  CHECK(read_checkpoint_header(checkpoint.path).training_images == 9);

  checkpoint.metadata.erase("data_sample");  // as in old checkpoints
  CHECK_THAT(checkpoint.complaint(trainer_of(tiny_pictures(9, 2))), contains("no Error"));
}

TEST_CASE("data sample: tells data sets apart, not how their pictures were decoded") {
  const auto changed = [](const Dataset& data, int64_t images, int by) {
    std::vector<uint8_t> pixels(static_cast<size_t>(data.size() * 3 * kTinySide * kTinySide));
    const size_t size = pixels.size() / static_cast<size_t>(data.size());
    for (int64_t i = 0; i < data.size(); ++i) {
      const auto image = std::span(pixels).subspan(static_cast<size_t>(i) * size, size);
      data.read(i, image);
      for (uint8_t& value : image)
        value = static_cast<uint8_t>(i < images ? (value + by) % 256 : value);
    }
    return data_sample(MemoryDataset(kTinySide, kTinySide, std::move(pixels)));
  };
  for (const int64_t count : {1, 5, 40}) {
    const auto data = tiny_pictures(count);
    const std::string sample = data_sample(*data);
    CHECK(alike(sample, sample));
    CHECK(alike(sample, changed(*data, count, 3)));
    CHECK_FALSE(alike(sample, changed(*data, count, 99)));
    CHECK(alike(sample, changed(*data, count / 3, 99)));  // some pictures were mended
    CHECK_FALSE(alike(sample, data_sample(*tiny_pictures(count, 2))));
  }
  const std::string sample = data_sample(*tiny_pictures(20));
  CHECK_FALSE(alike(sample, ""));
  CHECK_FALSE(alike(sample, sample.substr(2)));
}

TEST_CASE("trainer: a non-finite loss is an error") {
  Checkpoint checkpoint;
  for (float& value : checkpoint.tensors["weights"])
    value = std::numeric_limits<float>::quiet_NaN();
  checkpoint.write();
  Trainer trainer = Checkpoint::make();
  trainer.restore(checkpoint.path);
  CHECK_THAT(error_of([&] { trainer.step(0.0); }),
             contains("training broke down at step 3: the loss is nan"));
  CHECK(trainer.steps() == 2);
  CHECK(trainer.is_whole());
}

TEST_CASE("trainer: non-finite weights are an error") {
  TrainingOptions options = tiny_options();
  options.learning_rate = 1e30;
  Trainer trainer = Checkpoint::make(9, options);
  CHECK_THAT(error_of([&] { trainer.step(0.0); }),
             contains("training broke down at step 1: the norm of the weights is inf"));
  CHECK_FALSE(trainer.is_whole());
}

TEST_CASE("checkpoint: failing to write it is an error") {
  const Checkpoint checkpoint;
  const Trainer trainer = Checkpoint::make();
  CHECK_THAT(error_of([&] { trainer.save(checkpoint.folder / "absent/c", 0); }),
             contains("can't create the file"));
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full");
  CHECK_THAT(error_of([&] { trainer.save("/dev/full", 0); }), contains("can't write the file"));
}

}  // namespace
}  // namespace combiner

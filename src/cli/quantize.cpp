// combiner quantize: writes a model with int8 weights and measures how far it is from the original.

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>

#include "base/plural.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/measured_images.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/shipped_models.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "dataset/limit.h"
#include "weights/weights_file.h"

namespace combiner {
namespace fs = std::filesystem;
namespace {

struct QuantizeOptions {
  std::string model, output;
  ImagesOptions images;
  int threads = 1;
  bool json = false;
};

// The size of a regular file; 0 for a device, which has none.
int64_t bytes_of(const fs::path& path) {
  std::error_code ignored;  // a file that was just read or written can be examined
  return fs::is_regular_file(path, ignored) ? static_cast<int64_t>(fs::file_size(path, ignored))
                                            : 0;
}

nlohmann::ordered_json json_of(const fs::path& model, const QuantizeOptions& options,
                               const std::optional<Divergence>& divergence) {
  nlohmann::ordered_json json = {
      {"model", model.string()},
      {"model_bytes", bytes_of(model)},
      {"output", options.output},
      {"output_bytes", bytes_of(options.output)},
  };
  if (divergence)
    json.update({
        {"bits_per_dim_f32", divergence->reference_bits_per_dim},
        {"bits_per_dim_int8", divergence->bits_per_dim},
        {"difference", divergence->bits_per_dim - divergence->reference_bits_per_dim},
        {"kl_divergence", divergence->kl_divergence},
        {"images", divergence->images},
        {"data", options.images.data},
        {"split", name(options.images.split)},
    });
  return json;
}

void print_table(const fs::path& model, const QuantizeOptions& options,
                 const std::optional<Divergence>& divergence) {
  put("{}: {}, from {}\n", options.output, plural(bytes_of(options.output), "byte"),
      bytes_of(model));
  if (!divergence) return;
  put("bits/dim     {:.4f} in f32\n"
      "             {:.4f} in int8\n"
      "difference   {:+.5f}\n"
      "divergence   {:.6f} nats a sub-pixel, KL(f32 || int8)\n"
      "images       {}\n",
      divergence->reference_bits_per_dim, divergence->bits_per_dim,
      divergence->bits_per_dim - divergence->reference_bits_per_dim, divergence->kl_divergence,
      divergence->images);
}

void report(const fs::path& model, const QuantizeOptions& options,
            const std::optional<Divergence>& divergence, const SkippedImages& skipped) {
  if (!options.json) return print_table(model, options, divergence);
  nlohmann::ordered_json json = json_of(model, options, divergence);
  if (options.images.skip_bad) json["left_out"] = skipped.json();
  print_json(json);
}

void run(const QuantizeOptions& options, Cluster& cluster) {
  const std::atomic<bool>& interrupted = catch_interrupts();
  const fs::path path = find_model(options.model);
  std::error_code ignored;  // if the path can't be examined, opening it fails with a message
  if (fs::equivalent(path, options.output, ignored))
    throw Error(fmt::format("{}: is the model itself; write the smaller one to another file",
                            options.output));
  if (cluster.rank() == 0) weights_at(options.output);  // throws if something else is there
  const Model model(load_weights(path), Precision::f32, options.threads);
  // Open the data before the long computation, so that unusable data is reported at once.
  std::unique_ptr<Dataset> images;
  SkippedImages skipped;
  if (!options.images.data.empty())
    images =
        open_images(options.images, model.config().image, options.threads, interrupted, skipped);
  if (cluster.rank() == 0)
    save_weights(model.weights(), DType::i8, options.output,
                 SafetensorsFile::open(path).metadata());
  cluster.barrier();  // before the others read it

  if (!images) {
    if (cluster.rank() == 0) report(path, options, std::nullopt, skipped);
    return;
  }
  Progress progress("images");
  progress.update(0, 0);
  MeasuredImages measured(limited_size(*images, options.images.limit), options.images.skip_bad,
                          skipped, progress, interrupted);
  const Divergence divergence = measure_divergence(
      model, Model(load_weights(options.output), Precision::int8, options.threads), *images,
      {options.images.limit, options.threads, measured.cancel(), measured.on_bad(), &cluster},
      [&](int64_t done, int64_t count, double mean) {
        progress.update(done, static_cast<double>(done) / static_cast<double>(count),
                        fmt::format("divergence {:.6f}", mean));
      });
  progress.clear();
  if (cluster.rank() != 0) return;
  if (divergence.images == 0) report(path, options, std::nullopt, skipped);
  measured.require_any(divergence.images);
  report(path, options, divergence, skipped);
  measured.require_all(divergence.images);
}

}  // namespace

ClusterAction quantize_command(CLI::App& command) {
  const auto options = std::make_shared<QuantizeOptions>();
  add_model_option(command, options->model);
  command
      .add_option("-o,--output", options->output,
                  "Weights file to write: its matrices as int8, with scales")
      ->type_name("FILE")
      ->required();
  add_images_options(command, options->images);
  add_threads_option(command, options->threads);
  command.add_flag("--json", options->json, "Print JSON");
  command.parse_complete_callback([options] {
    check_no_standard_output("--output", options->output);
    check_no_input("--output", options->output, options->images.data);
  });
  return [options](Cluster& cluster) { run(*options, cluster); };
}

}  // namespace combiner

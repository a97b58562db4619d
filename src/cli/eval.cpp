// combiner eval: measures the bits/dim of a model on a data set.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/lies_in.h"
#include "base/output_file.h"
#include "base/plural.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/measured_images.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/print_json.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/rate_text.h"
#include "cli/recipe.h"
#include "cli/say.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "cli/surprise_folder.h"
#include "combiner/dataset.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "combiner/likelihood.h"
#include "dataset/limit.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

struct EvalOptions {
  std::string model, csv, maps;
  ImagesOptions images;
  Precision precision = Precision::f32;
  int threads = 1;
  bool json = false;
  bool no_metadata = false;
};

// Quotes a CSV field, which may contain commas, quotes and newlines.
std::string quoted(const std::string& text) {
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

void write_csv(OutputFile& file, const Likelihood& likelihood, const Dataset& images) {
  file.write("index,name,nats_r,nats_g,nats_b,bits_per_dim\n");
  for (const ImageLikelihood& image : likelihood.images)
    file.write(fmt::format("{},{},{:.4f},{:.4f},{:.4f},{:.6f}\n", image.index,
                           quoted(images.describe(image.index)), image.nats[0], image.nats[1],
                           image.nats[2], image.bits_per_dim));
  file.commit();
}

nlohmann::ordered_json json_of(const std::string& model, const std::string& sha256,
                               const EvalOptions& options, const Likelihood& likelihood,
                               const SkippedImages& skipped) {
  // One image has no standard error; JSON writes its NaN as null.
  nlohmann::ordered_json json = {
      {"bits_per_dim", likelihood.bits_per_dim},
      {"stderr", likelihood.standard_error},
      {"bits_per_dim_channels", likelihood.channel_bits_per_dim},
      {"images", likelihood.images.size()},
      {"images_per_second", likelihood.images_per_second},
      {"precision", name(options.precision)},
      {"instructions", instructions_in_use()},
      {"threads", options.threads},
      {"model", model},
      {"sha256", sha256},
      {"data", options.images.data},
      {"split", name(options.images.split)},
  };
  if (options.images.skip_bad) json["left_out"] = skipped.json();
  return json;
}

void print_table(const EvalOptions& options, const Likelihood& likelihood,
                 const SkippedImages& skipped) {
  put("bits/dim   {:.4f}", likelihood.bits_per_dim);
  if (likelihood.images.size() > 1) put(" +- {:.4f}", likelihood.standard_error);
  const auto& [red, green, blue] = likelihood.channel_bits_per_dim;
  put("\n"
      "  red      {:.4f}\n"
      "  green    {:.4f}\n"
      "  blue     {:.4f}\n"
      "images     {}{}\n"
      "images/s   {}  ({}, {}; {})\n",
      red, green, blue, likelihood.images.size(),
      skipped.count() > 0 ? fmt::format(" ({} left out)", skipped.count()) : "",
      rate_text(likelihood.images_per_second), name(options.precision),
      plural(options.threads, "thread"), instructions_in_use());
}

// Throws CLI::ValidationError if the maps would become part of the data or replace it.
void check_maps(const EvalOptions& options) {
  namespace fs = std::filesystem;
  if (options.maps.empty()) return;
  std::error_code ignored;  // what can't be examined can't be used, which fails with a message
  const fs::path data = fs::absolute(options.images.data, ignored);
  const bool beside_data =
      !fs::is_directory(data, ignored) && fs::equivalent(data.parent_path(), options.maps, ignored);
  if (beside_data || lies_in(options.maps, data))
    throw CLI::ValidationError(
        "--maps", fmt::format("{} is where --data {} is, so maps would replace data or become "
                              "data; choose another folder",
                              options.maps, options.images.data));
}

// What the maps say of how they were made. `images` must outlive the result.
SurpriseFolder::Texts texts_of_maps(const std::string& model, const std::string& sha256,
                                    const EvalOptions& options, const Dataset& images) {
  if (options.no_metadata) return [](std::optional<int64_t>) { return std::vector<PngText>(); };
  const nlohmann::ordered_json all = {
      {"program", program_name()},
      {"command", "eval"},
      {"model", std::filesystem::path(model).filename().string()},
      {"sha256", sha256},
      {"precision", name(options.precision)},
      {"kernels", kernels_in_use(options.precision)},
  };
  return [all, &images](std::optional<int64_t> index) {
    nlohmann::ordered_json one = all;
    if (index) {
      one["index"] = *index;
      one["image"] = std::filesystem::path(images.describe(*index)).filename().string();
    }
    return made_by_texts(one);
  };
}

// Maps of an earlier, larger run would look as if they were of this one.
void mention_other_maps(const SurpriseFolder& maps, const EvalOptions& options, int64_t images) {
  const int64_t evaluated = std::min(images, options.images.limit.value_or(images));
  const int64_t others = maps.maps_from(evaluated);
  if (others > 0)
    say("{}: also holds {} of an earlier run, from map-{:05}.png on\n", options.maps,
        plural(others, "map"), evaluated);
}

void run(const EvalOptions& options, Cluster& cluster) {
  const std::string path = find_model(options.model).string();
  const Model model(load_weights(path), options.precision, options.threads);
  std::string sha256;  // taken now: the file may be replaced meanwhile
  if (options.json || (!options.maps.empty() && !options.no_metadata))
    sha256 = sha256_of_file(path);
  const std::atomic<bool>& interrupted = catch_interrupts();
  SkippedImages skipped;
  // Open the file before what takes long, so that a bad path is reported at once.
  std::optional<OutputFile> csv;
  const bool is_first = cluster.rank() == 0;
  if (!options.csv.empty() && is_first) csv.emplace(options.csv);
  const std::unique_ptr<Dataset> images =
      open_images(options.images, model.config().image, options.threads, interrupted, skipped);
  const int64_t wanted = limited_size(*images, options.images.limit);

  std::optional<SurpriseFolder> maps;
  OnNats on_nats;
  if (!options.maps.empty()) {
    maps.emplace(options.maps, images->width(), images->height(),
                 texts_of_maps(path, sha256, options, *images));
    mention_other_maps(*maps, options, images->size());
    on_nats = [&](int64_t index, std::span<const uint8_t> pixels, std::span<const float> nats) {
      maps->write(index, pixels, nats);
    };
  }

  Progress progress("images");
  progress.update(0, 0);
  MeasuredImages measured(wanted, options.images.skip_bad, skipped, progress, interrupted);
  const LikelihoodOptions how = {options.images.limit, options.threads, measured.cancel(),
                                 measured.on_bad(), &cluster};
  const Likelihood likelihood = evaluate(
      model, *images, how,
      [&](int64_t done, int64_t count, double bits_per_dim) {
        progress.update(done, static_cast<double>(done) / static_cast<double>(count),
                        fmt::format("{:.4f} bits/dim", bits_per_dim));
      },
      on_nats);
  progress.clear();
  if (!is_first) {
    if (maps) maps->finish(likelihood, *images);  // throws if one could not be written
    return;
  }
  const auto done = static_cast<int64_t>(likelihood.images.size());
  measured.require_any(done);
  if (options.json)
    print_json(json_of(path, sha256, options, likelihood, skipped));
  else
    print_table(options, likelihood, skipped);
  if (csv) write_csv(*csv, likelihood, *images);
  if (maps) maps->finish(likelihood, *images);
  measured.require_all(done);
}

}  // namespace

ClusterAction eval_command(CLI::App& command) {
  const auto options = std::make_shared<EvalOptions>();
  add_model_option(command, options->model);
  add_images_options(command, options->images)->required();
  add_precision_option(command, options->precision, Work::whole_images);
  add_threads_option(command, options->threads);
  command.add_flag("--json", options->json, "Print JSON");
  command.add_option("--csv", options->csv, "Also write a row for each image to this file")
      ->type_name("FILE");
  command
      .add_option(
          "--maps", options->maps,
          "Also write to this folder, for each image, a map of its bits per pixel (map-00000.png) "
          "and the bits of its sub-pixels (bits-00000.npy)")
      ->type_name("DIR");
  add_no_metadata_option(command, options->no_metadata);
  command.parse_complete_callback([options] {
    check_no_standard_output("--csv", options->csv);
    check_no_input("--csv", options->csv, options->images.data);
    if (!options->csv.empty())
      check_no_input("--csv", options->csv, find_model(options->model).string());
    check_maps(*options);
  });
  return [options](Cluster& cluster) { run(*options, cluster); };
}

}  // namespace combiner

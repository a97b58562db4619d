#include "cli/drawing_options.h"

#include <fmt/format.h>

#include <random>

#include "cli/options.h"
#include "cli/say.h"
#include "cli/sha256.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "cpu/limits.h"
#include "sampling/choice.h"
#include "sampling/memory.h"
#include "weights/weights_file.h"

namespace combiner {

void add_drawing_options(CLI::App& command, DrawingOptions& options) {
  ChoiceOptions& choice = options.sampling.choice;
  add_model_option(command, options.model);
  command
      .add_option_function<std::string>(
          "--seed", [&options](const std::string& text) { options.seed = parse_seed(text); },
          "Image k of a seed is always the same [a random seed, printed]")
      ->type_name("S");
  command
      .add_option("--first", options.sampling.first_index,
                  "Index of the first image of the seed that is drawn")
      ->type_name("K")
      ->check(whole_number_in(0, kMostImages))
      ->capture_default_str();
  command
      .add_option("--temperature", choice.temperature,
                  "Divides the logits; 0 takes the likeliest value of each sub-pixel")
      ->type_name("T")
      ->capture_default_str();
  command.add_option("--top-k", choice.top_k, "Draw among the K likeliest values only, 1 to 256")
      ->type_name("K")
      ->capture_default_str();
  command
      .add_option("--top-p", choice.top_p,
                  "Draw among the fewest likeliest values that together have probability P")
      ->type_name("P")
      ->capture_default_str();
  command
      .add_option("--batch", options.batch,
                  fmt::format("Most images that a thread draws at once [{}, or as many as fit in a "
                              "quarter of the machine's memory]",
                              options.sampling.batch))
      ->type_name("B")
      ->check(at_least_one());
  add_threads_option(command, options.sampling.threads);
  add_precision_option(command, options.precision, Work::decoding);
}

void check_drawing_options(const DrawingOptions& options) {
  try {
    validate(options.sampling.choice);
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

Model prepare_drawing(DrawingOptions& options, const std::filesystem::path& path) {
  SampleOptions& sampling = options.sampling;
  Model model(load_weights(path), options.precision, sampling.threads);
  if (!options.seed) say("seed {}\n", options.seed.emplace(std::random_device()()));
  sampling.seed = *options.seed;
  sampling.batch = options.batch
                       ? *options.batch
                       : suggested_batch(sampling_memory(model.weights(), options.precision),
                                         sampling.threads, usable_memory());
  return model;
}

Recipe drawing_recipe(const char* command, const std::filesystem::path& path,
                      const DrawingOptions& options) {
  const SampleOptions& sampling = options.sampling;
  return {.program = program_name(),
          .command = command,
          .model = path.filename().string(),
          .sha256 = sha256_of_file(path),
          .seed = sampling.seed,
          .first = sampling.first_index,
          .count = sampling.count,
          .choice = sampling.choice,
          .precision = options.precision,
          .kernels = kernels_in_use(options.precision)};
}

}  // namespace combiner

#include "cli/drawing_options.h"

#include <fmt/format.h>

#include <random>

#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/sha256.h"
#include "cluster/agree.h"
#include "combiner/instruction_set.h"
#include "cpu/limits.h"
#include "sampling/memory.h"
#include "weights/weights_file.h"

namespace combiner {

void add_drawing_options(CLI::App& command, DrawingOptions& options, std::string_view drawn) {
  ChoiceOptions& choice = options.sampling.choice;
  add_model_option(command, options.model);
  add_number(command, "--seed", options.seed, {0},
             "Random seed; image k of a seed is always the same [a random seed, printed]")
      ->type_name("S");
  add_number(command, "--first", options.sampling.first_index, {0, kMostFirst},
             fmt::format("Number of the first {} of the seed that is drawn", drawn))
      ->type_name("K");
  add_number(command, "--temperature", choice.temperature, {0},
             "Divides the logits; 0 takes the most likely value of each sub-pixel")
      ->type_name("T");
  add_number(command, "--top-k", choice.top_k, {1, 256},
             "Draw among the K most likely values only, 1 to 256")
      ->type_name("K");
  add_number(command, "--top-p", choice.top_p, {0, 1, true},
             "Draw among the fewest most likely values that together have probability P")
      ->type_name("P");
  add_number(command, "--batch", options.batch, {1},
             fmt::format("Most images that a thread draws at once [{}, or as many as fit in a "
                         "quarter of the machine's memory]",
                         options.sampling.batch))
      ->type_name("B");
  add_threads_option(command, options.sampling.threads);
  add_precision_option(command, options.precision, Work::decoding);
}

Model prepare_drawing(DrawingOptions& options, const std::filesystem::path& path,
                      Cluster& cluster) {
  SampleOptions& sampling = options.sampling;
  Model model(load_weights(path), options.precision, sampling.threads);
  if (!options.seed) {
    options.seed = from_rank_0(cluster, uint64_t{std::random_device()()});
    say("seed {}\n", *options.seed);
  }
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

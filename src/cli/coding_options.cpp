#include "cli/coding_options.h"

#include <fmt/format.h>

#include "cli/number_option.h"
#include "cli/options.h"
#include "cpu/limits.h"
#include "sampling/memory.h"

namespace combiner {

void add_coding_options(CLI::App& command, CodingCommandOptions& options) {
  add_model_option(command, options.model);
  add_number(command, "--batch", options.batch, {1, 1 << 20},
             fmt::format("Most images that a thread codes at once; the file doesn't depend on it "
                         "[{}, or as many as fit in a quarter of the machine's memory]",
                         CodingOptions{}.batch))
      ->type_name("B");
  add_threads_option(command, options.threads);
}

CodingOptions coding_options(const CodingCommandOptions& options, const Model& model) {
  const SamplingMemory memory = sampling_memory(model.weights(), model.precision());
  return {.batch = options.batch ? *options.batch
                                 : suggested_batch(memory, options.threads, usable_memory()),
          .threads = options.threads};
}

}  // namespace combiner

#include "cli/commands.h"

namespace combiner {

std::vector<Command> commands() {
  return {
      {"bench", "Measure a model's speed, beside what the machine can do", bench_command},
      {"complete", "Keep the upper rows of pictures and draw the rest", complete_command},
      {"completion", "Print a script that lets a shell complete command lines",
       shell_completion_command},
      {"compress", "Pack pictures without loss, in as few bits as a model predicts them with",
       compress_command},
      {"decompress", "Unpack what compress has packed", decompress_command},
      {"eval", "Measure a model's bits/dim on images", eval_command},
      {"info", "Describe a model, packed pictures, or how a picture was made", info_command},
      {"models", "List the models that the program comes with", models_command},
      {"nearest",
       "Find the training images nearest to given pictures, to see whether a model copies",
       nearest_command},
      {"quantize", "Make a model's weights smaller, and measure what that changes",
       quantize_command},
      {"sample", "Draw images from a model", sample_command},
      {"serve", "Serve models over HTTP, with a page that shows them draw", serve_command},
      {"train", "Train a model on images", train_command},
  };
}

}  // namespace combiner

#include "cli/commands.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  using namespace combiner;
  return run_program(
      {
          {"bench", "Measure a model's speed, beside what the machine can do", bench_command},
          {"eval", "Measure a model's bits/dim on images", eval_command},
          {"info", "Describe a model: its config, size and memory", info_command},
          {"nearest", "Find the training images nearest to pictures: whether a model copies",
           nearest_command},
          {"quantize", "Make a model's weights smaller, and measure what that changes",
           quantize_command},
          {"sample", "Draw images from a model", sample_command},
          {"train", "Train a model on images", train_command},
      },
      argc, argv);
}

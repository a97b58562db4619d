// A training's checkpoint, up to the next step.
#include <cmath>
#include <memory>
#include <vector>

#include "fuzz/fuzz.h"
#include "memory_dataset.h"
#include "training/checkpoint.h"
#include "training/trainer.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const MemoryFile file({data, size});
    const CheckpointHeader header = read_checkpoint_header(file.path());
    const ModelConfig& config = header.config;
    if (config.dims() > 48 || config.embed_dim > 4 || config.mlp_dim > 8 || config.num_layers > 2 ||
        header.options.batch > 4)
      return;  // would take long
    const auto images = std::make_shared<const MemoryDataset>(
        config.image.width, config.image.height,
        std::vector<uint8_t>(static_cast<size_t>(2 * config.dims()), 128));
    Trainer trainer(config, header.options, images, Precision::f32, 1);
    const double seconds = trainer.restore(file.path());
    require(seconds >= 0 && std::isfinite(seconds), "the time so far must be a number");
    require(trainer.steps() == header.step, "the trainer must be at the checkpoint's step");
    trainer.step(0.5);
    require(trainer.steps() == header.step + 1, "a step must be counted");
  });
}

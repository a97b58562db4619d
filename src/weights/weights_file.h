// A model's weights as a safetensors file: tensors by name, and the config as JSON under the
// metadata key `config`.
#pragma once

#include <filesystem>

#include "model/model.h"
#include "weights/safetensors.h"

namespace combiner {

// Reads F32, BF16 or F16 tensors. A quantizable weight may also be I8; then a tensor with the same
// name and the suffix ".scale" holds the scales of its rows, F32 [out]: w = q * scale. Throws Error
// on a file that is malformed, damaged or a training checkpoint; on a malformed config; on missing,
// unknown or wrongly shaped tensors and scales (the message names them, with expected and actual
// shapes); on a NaN, an infinity or a negative scale; and on a stem weight other than zero at a tap
// that would see the predicted pixel.
Weights load_weights(const std::filesystem::path& path);

// Whether the file is a checkpoint of a training, which has a model's config, too.
bool is_checkpoint(const SafetensorsFile& file);

enum class WeightsThere { no, yes, damaged };

// Whether save_weights() would overwrite weights. `no` if there is nothing to lose: no file, an
// empty one or a device. Throws Error if there is a file of another kind, or one that can't be
// read.
WeightsThere weights_at(const std::filesystem::path& path);

// Writes all tensors as F32 or BF16. With DType::i8, writes each quantizable weight row by row as
// quantize_row makes it, and every other tensor unchanged: as BF16 if that is exact, else as F32.
// Writes the whole file or nothing; throws Error if it can't be written.
void save_weights(const Weights& weights, DType dtype, const std::filesystem::path& path,
                  Metadata metadata = {});

}  // namespace combiner

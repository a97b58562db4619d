// A model's weights as a safetensors file: tensors under their names, the config as JSON under the
// metadata key `config`.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "model/model.h"
#include "weights/safetensors.h"

namespace combiner {

// Reads F32, BF16 or F16 tensors, and quantizable weights as I8 with their rows' scales, F32 [out],
// in a tensor of the same name and ".scale": w = q * scale. Throws Error on a malformed file or
// config; on missing, unknown or wrong-shape tensors and scales (all are named, with expected and
// actual shapes); on a tensor with a NaN or an infinity, a negative scale; on a stem weight other
// than zero at a tap that would see the predicted pixel.
Weights load_weights(const std::filesystem::path& path);

// Writes all tensors as F32 or BF16; or, for I8, rows of quantizable weights as quantize_row gives
// them and all else unchanged: as BF16 what that holds exactly, else as F32. Whole or not at all;
// throws Error if it can't be written.
void save_weights(const Weights& weights, DType dtype, const std::filesystem::path& path,
                  std::map<std::string, std::string> metadata = {});

}  // namespace combiner

// The whole model's forward pass in double, by plain loops over vectors: what the fast code and its
// gradients must agree with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "combiner/config.h"
#include "model/model.h"

namespace combiner::reference {

// The logits of every byte given those before it: dims() vectors of vocab_size, in the order of
// `pixels` [height, width, channels]. `values` is a flat buffer of the parameters' layout.
std::vector<std::vector<double>> logits(const ModelConfig& config, const Parameters& parameters,
                                        std::span<const double> values, const uint8_t* pixels);

// -log p of every byte given those before it, in the same order.
std::vector<double> nats(const ModelConfig& config, const Parameters& parameters,
                         std::span<const double> values, const uint8_t* pixels);

// -log p of one byte under its logits.
double nats(const std::vector<double>& logits, size_t value);

double gelu(double x);

}  // namespace combiner::reference

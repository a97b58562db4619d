// The forward pass of the whole model in double, with plain loops over vectors. The fast code and
// its gradients must agree with it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "combiner/config.h"
#include "model/model.h"

namespace combiner::reference {

// The logits of each byte given the bytes before it: dims() vectors of size vocab_size, in the
// order of `pixels` [height, width, channels]. `values` is a flat buffer laid out as `parameters`
// says.
std::vector<std::vector<double>> logits(const ModelConfig& config, const Parameters& parameters,
                                        std::span<const double> values, const uint8_t* pixels);

// -log p of each byte given the bytes before it, in the same order.
std::vector<double> nats(const ModelConfig& config, const Parameters& parameters,
                         std::span<const double> values, const uint8_t* pixels);

// -log p of one byte, given its logits.
double nats(const std::vector<double>& logits, size_t value);

double gelu(double x);

}  // namespace combiner::reference

// The optimiser: Muon or AdamW, with smooth value tables.
#pragma once

#include <span>
#include <vector>

#include "base/thread_team.h"
#include "cluster/cluster.h"
#include "kernels/descent.h"
#include "matmul/matmul.h"
#include "model/parameters.h"
#include "tensor/buffer.h"

namespace combiner {

enum class OptimizerKind {
  muon,   // Muon for the blocks' matrices, AdamW for all else
  adamw,  // AdamW for everything
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::muon;
  float weight_decay = 0.01f;  // decoupled; for matrices and tables, not for vectors
  float muon_momentum = 0.95f;
  float beta1 = 0.9f;
  float beta2 = 0.99f;
  float epsilon = 1e-8f;
};

// The optimiser's memory of past steps, in flat buffers.
struct OptimizerState {
  int64_t steps = 0;
  Buffer<float> moment1, moment2;  // in the parameters' layout; Muon uses only the first
  Buffer<float> smooth_moment1, smooth_moment2;  // of the smooth coefficients, table after table
};

// Muon: the direction of the momentum, made orthogonal by five Newton-Schulz steps and scaled by
// 0.2 sqrt(max(rows, columns)), so that AdamW's learning rates apply (K. Jordan et al., 2024; the
// scale is from Moonshot AI's report, 2025).
//
// Smooth value tables: rows 0..255 of a table stand for ordered values. A table is learned as
// T[v] = free[v] + sum over k < 32 of cos(pi k (v + 1/2) / 256) coefficient[k], where the free part
// and the coefficients have AdamW moments of their own. Only T is stored: a step of the
// coefficients is a step of T, and weight decay of both parts is weight decay of T.
class Optimizer {
 public:
  // `products` is the operand type of the Newton-Schulz products. What bfloat16 loses in one of the
  // five steps, the next step corrects, as it corrects any singular value other than 1. Momentum
  // and weights are in float.
  //
  // On a cluster, each rank makes some of the matrices orthogonal, Muon's dearest part, and gives
  // the values to the others. All else is cheap, so every rank does it, and has all of the state.
  Optimizer(const ParameterLayout& parameters, const OptimizerOptions& options,
            ElementType products, Cluster& cluster = single_process());
  ~Optimizer();

  // values -= learning_rate times the step for gradient * gradient_scale. The threads of the team
  // divide the parameters among them; the result depends on neither the size of the team nor that
  // of the cluster. Collective.
  void step(std::span<const float> gradient, float gradient_scale, float learning_rate,
            std::span<float> values, ThreadTeam& team);

  OptimizerState& state() { return state_; }
  const OptimizerState& state() const { return state_; }

 private:
  struct Scratch;
  AdamSettings adam_settings() const;
  bool is_orthogonalised(const Parameter& parameter) const;
  void divide_among_ranks();
  bool is_own(const Parameter& parameter) const;
  void step_parameter(size_t index, std::span<const float> gradient, float gradient_scale,
                      float learning_rate, std::span<float> values, Scratch& scratch);
  void update_momentum(const Parameter& parameter, std::span<const float> gradient,
                       float gradient_scale);
  void muon_direction(const Parameter& parameter, std::span<const float> gradient,
                      float gradient_scale, Scratch& scratch);
  void add_smooth_direction(size_t index, std::span<const float> gradient, float gradient_scale,
                            Scratch& scratch);

  const ParameterLayout& parameters_;
  OptimizerOptions options_;
  ElementType products_;
  Cluster& cluster_;
  // Where each rank's part of the parameters ends: the rank makes the matrices in it orthogonal.
  std::vector<size_t> rank_ends_;
  std::vector<size_t> order_;  // of parameters, largest first, so that threads finish together
  OptimizerState state_;
  std::vector<size_t> smooth_offsets_;  // per parameter, into the smooth moments
  Buffer<float> cosines_;               // [256, 32]
  std::vector<Scratch> scratch_;        // per thread
};

}  // namespace combiner

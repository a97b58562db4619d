#include "training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "matmul/matmul.h"

namespace combiner {
namespace {

constexpr int64_t kValues = 256;
constexpr int64_t kCosines = 32;
constexpr int kNewtonSchulzSteps = 5;
// The quintic a s + b s^3 + c s^5 that drives singular values towards 1 (K. Jordan et al., 2024).
constexpr float kNewtonSchulzA = 3.4445f;
constexpr float kNewtonSchulzB = -4.7750f;
constexpr float kNewtonSchulzC = 2.0315f;

bool is_smooth(const Parameter& parameter) {
  return parameter.kind == ParameterKind::value_table && parameter.shape[0] >= kValues;
}

int64_t width(const Parameter& parameter) {
  return static_cast<int64_t>(parameter.size) / parameter.shape[0];
}

}  // namespace

struct Optimizer::Scratch {
  Multiplier multiplier;
  Buffer<float> direction;
  Buffer<float> square, polynomial, next;  // Newton-Schulz
  Buffer<float> coefficients;              // smooth tables

  static std::span<float> reserve(Buffer<float>& buffer, size_t size) {
    if (buffer.size() < size) buffer = Buffer<float>(size);
    return {buffer.data(), size};
  }
};

Optimizer::Optimizer(const Parameters& parameters, const OptimizerOptions& options)
    : parameters_(parameters),
      options_(options),
      cosines_(static_cast<size_t>(kValues * kCosines)) {
  size_t smooth_size = 0;
  for (const Parameter& parameter : parameters.list) {
    smooth_offsets_.push_back(smooth_size);
    if (is_smooth(parameter)) smooth_size += static_cast<size_t>(kCosines * width(parameter));
  }
  state_.moment1 = Buffer<float>(parameters.size);
  state_.moment2 = Buffer<float>(parameters.size);
  state_.smooth_moment1 = Buffer<float>(smooth_size);
  state_.smooth_moment2 = Buffer<float>(smooth_size);
  for (int64_t v = 0; v < kValues; ++v)
    for (int64_t k = 0; k < kCosines; ++k)
      cosines_[static_cast<size_t>(v * kCosines + k)] = static_cast<float>(
          std::cos(std::numbers::pi * static_cast<double>(k) * (static_cast<double>(v) + 0.5) /
                   static_cast<double>(kValues)));
}

Optimizer::~Optimizer() = default;

void Optimizer::step(std::span<const float> gradient, float gradient_scale, float learning_rate,
                     std::span<float> values, ThreadTeam& team) {
  ++state_.steps;
  if (scratch_.size() < static_cast<size_t>(team.size()))
    scratch_ = std::vector<Scratch>(static_cast<size_t>(team.size()));
  team.for_each(static_cast<int64_t>(parameters_.list.size()), [&](int rank, int64_t index) {
    step_parameter(static_cast<size_t>(index), gradient, gradient_scale, learning_rate, values,
                   scratch_[static_cast<size_t>(rank)]);
  });
}

AdamSettings Optimizer::adam_settings() const {
  const auto correction = [&](float beta) {
    return static_cast<float>(1.0 /
                              (1.0 - std::pow(double{beta}, static_cast<double>(state_.steps))));
  };
  return {options_.beta1, options_.beta2, options_.epsilon, correction(options_.beta1),
          correction(options_.beta2)};
}

void Optimizer::step_parameter(size_t index, std::span<const float> gradient, float gradient_scale,
                               float learning_rate, std::span<float> values, Scratch& scratch) {
  const Parameter& parameter = parameters_.list[index];
  const std::span<const float> own_gradient = gradient.subspan(parameter.offset, parameter.size);
  const std::span<float> direction = Scratch::reserve(scratch.direction, parameter.size);
  if (parameter.kind == ParameterKind::matrix && options_.kind == OptimizerKind::muon) {
    muon_direction(parameter, own_gradient, gradient_scale, scratch);
  } else {
    adam_direction(own_gradient, gradient_scale, adam_settings(),
                   state_.moment1.span().subspan(parameter.offset, parameter.size),
                   state_.moment2.span().subspan(parameter.offset, parameter.size), direction);
    if (is_smooth(parameter)) add_smooth_direction(index, own_gradient, gradient_scale, scratch);
  }
  const float decay = parameter.shape.size() > 1 ? options_.weight_decay : 0.0f;
  descend(direction, learning_rate, decay, values.subspan(parameter.offset, parameter.size));
}

void Optimizer::muon_direction(const Parameter& parameter, std::span<const float> gradient,
                               float gradient_scale, Scratch& scratch) {
  const int64_t rows = parameter.shape[0];
  const int64_t columns = parameter.shape[1];
  const int64_t small = std::min(rows, columns);
  const std::span<float> momentum = state_.moment1.span().subspan(parameter.offset, parameter.size);
  const float beta = options_.muon_momentum;
  weighted_sum((1.0f - beta) * gradient_scale, gradient, beta, momentum, momentum);
  // Nesterov: the momentum as the next step will see it.
  std::span<float> x(scratch.direction.data(), parameter.size);
  weighted_sum((1.0f - beta) * gradient_scale, gradient, beta, momentum, x);
  const auto norm = static_cast<float>(std::sqrt(sum_of_squares(x)));
  weighted_sum(1.0f / (norm + 1e-20f), x, 0.0f, x, x);

  // x (a + b x^T x + c (x^T x)^2), on the smaller of the two squares.
  const auto small_size = static_cast<size_t>(small * small);
  std::span<float> square = Scratch::reserve(scratch.square, small_size);
  std::span<float> polynomial = Scratch::reserve(scratch.polynomial, small_size);
  std::span<float> next = Scratch::reserve(scratch.next, parameter.size);
  const Matrix<float> square_view(square.data(), small, small);
  const Matrix<float> polynomial_view(polynomial.data(), small, small);
  for (int i = 0; i < kNewtonSchulzSteps; ++i) {
    const Matrix<float> x_view(x.data(), rows, columns);
    const Matrix<float> next_view(next.data(), rows, columns);
    if (rows <= columns)
      scratch.multiplier.multiply(plain(x_view), transposed(x_view), square_view);
    else
      scratch.multiplier.multiply(transposed(x_view), plain(x_view), square_view);
    scratch.multiplier.multiply(plain(square_view), plain(square_view), polynomial_view);
    weighted_sum(kNewtonSchulzB, square, kNewtonSchulzC, polynomial, polynomial);
    for (int64_t j = 0; j < small; ++j) polynomial_view.row(j)[j] += kNewtonSchulzA;
    if (rows <= columns)
      scratch.multiplier.multiply(plain(polynomial_view), plain(x_view), next_view);
    else
      scratch.multiplier.multiply(plain(x_view), plain(polynomial_view), next_view);
    std::swap(x, next);
  }
  const float scale = 0.2f * std::sqrt(static_cast<float>(std::max(rows, columns)));
  weighted_sum(scale, x, 0.0f, x, {scratch.direction.data(), parameter.size});
}

void Optimizer::add_smooth_direction(size_t index, std::span<const float> gradient,
                                     float gradient_scale, Scratch& scratch) {
  const int64_t columns = width(parameters_.list[index]);
  const auto size = static_cast<size_t>(kCosines * columns);
  const std::span<float> coefficients = Scratch::reserve(scratch.coefficients, size);
  const Matrix<const float> cosines(cosines_.data(), kValues, kCosines);
  const Matrix<float> coefficient_view(coefficients.data(), kCosines, columns);
  scratch.multiplier.multiply(transposed(cosines),
                              plain(Matrix<const float>(gradient.data(), kValues, columns)),
                              coefficient_view);
  adam_direction(coefficients, gradient_scale, adam_settings(),
                 state_.smooth_moment1.span().subspan(smooth_offsets_[index], size),
                 state_.smooth_moment2.span().subspan(smooth_offsets_[index], size), coefficients);
  scratch.multiplier.multiply(plain(cosines), plain(coefficient_view),
                              Matrix<float>(scratch.direction.data(), kValues, columns), true);
}

}  // namespace combiner

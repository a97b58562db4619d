#include "training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <type_traits>

#include "kernels/rows.h"

namespace combiner {
namespace {

constexpr int64_t kValues = 256;
constexpr int64_t kCosines = 32;
constexpr int kNewtonSchulzSteps = 5;
// The quintic a s + b s^3 + c s^5 drives singular values towards 1 (K. Jordan et al., 2024).
constexpr float kNewtonSchulzA = 3.4445f;
constexpr float kNewtonSchulzB = -4.7750f;
constexpr float kNewtonSchulzC = 2.0315f;

bool is_smooth(const Parameter& parameter) {
  return parameter.kind == ParameterKind::value_table && parameter.shape[0] >= kValues;
}

int64_t width(const Parameter& parameter) {
  return static_cast<int64_t>(parameter.size) / parameter.shape[0];
}

template <class T>
std::span<T> reserve(Buffer<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer = Buffer<T>(size);
  return {buffer.data(), size};
}

// Makes a matrix of norm 1 nearly orthogonal. T is the operand type of its products.
template <class T>
class NewtonSchulz {
 public:
  void run(Multiplier& multiplier, Matrix<float> matrix) {
    const int64_t rows = matrix.rows;
    const int64_t columns = matrix.columns;
    const int64_t small = std::min(rows, columns);
    Matrix<T> x(reserve(x_, static_cast<size_t>(rows * columns)).data(), rows, columns);
    Matrix<T> next(reserve(next_, static_cast<size_t>(rows * columns)).data(), rows, columns);
    const auto small_size = static_cast<size_t>(small * small);
    const std::span<T> square = reserve(square_, small_size);
    const std::span<float> quartic = reserve(quartic_, small_size);
    const std::span<T> polynomial = reserve(polynomial_, small_size);
    const Matrix<T> square_view(square.data(), small, small);
    const Matrix<T> polynomial_view(polynomial.data(), small, small);

    convert<float, T>(matrix, x);
    for (int i = 0; i < kNewtonSchulzSteps; ++i) {
      // x (a + b x^T x + c (x^T x)^2), by the smaller of x^T x and x x^T.
      if (rows <= columns)
        multiplier.multiply(plain(x), transposed(x), square_view);
      else
        multiplier.multiply(transposed(x), plain(x), square_view);
      multiplier.multiply(plain(square_view), plain(square_view),
                          Matrix<float>(quartic.data(), small, small));
      weighted_sum(kNewtonSchulzB, square, kNewtonSchulzC, quartic, polynomial);
      for (int64_t j = 0; j < small; ++j) {
        T& diagonal = polynomial_view.row(j)[j];
        diagonal = rounded(to_float(diagonal) + kNewtonSchulzA);
      }
      if (rows <= columns)
        multiplier.multiply(plain(polynomial_view), plain(x), next);
      else
        multiplier.multiply(plain(x), plain(polynomial_view), next);
      std::swap(x, next);
    }
    convert<T, float>(x, matrix);
  }

 private:
  static T rounded(float value) {
    if constexpr (std::is_same_v<T, float>)
      return value;
    else
      return to_bfloat16(value);
  }

  Buffer<T> x_, next_, square_, polynomial_;
  Buffer<float> quartic_;
};

}  // namespace

struct Optimizer::Scratch {
  Multiplier multiplier;
  Buffer<float> direction;
  NewtonSchulz<float> in_float;
  NewtonSchulz<bfloat16> in_bfloat16;
  Buffer<float> coefficients;  // for smooth tables
};

Optimizer::Optimizer(const ParameterLayout& parameters, const OptimizerOptions& options,
                     ElementType products, Cluster& cluster)
    : parameters_(parameters),
      options_(options),
      products_(products),
      cluster_(cluster),
      order_(parameters.list.size()),
      cosines_(static_cast<size_t>(kValues * kCosines)) {
  divide_among_ranks();
  size_t smooth_size = 0;
  for (const Parameter& parameter : parameters.list) {
    smooth_offsets_.push_back(smooth_size);
    if (is_smooth(parameter)) smooth_size += static_cast<size_t>(kCosines * width(parameter));
  }
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::ranges::stable_sort(order_, std::greater(),
                           [&](size_t index) { return parameters.list[index].size; });
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

bool Optimizer::is_orthogonalised(const Parameter& parameter) const {
  return parameter.kind == ParameterKind::matrix && options_.kind == OptimizerKind::muon;
}

// Parts that take about the same time, of whole parameters one after the other.
void Optimizer::divide_among_ranks() {
  const auto cost = [&](const Parameter& parameter) {
    return is_orthogonalised(parameter)
               ? static_cast<double>(parameter.size) *
                     static_cast<double>(std::min(parameter.shape[0], parameter.shape[1]))
               : 0.0;
  };
  double total = 0;
  for (const Parameter& parameter : parameters_.list) total += cost(parameter);
  double before = 0;
  for (const Parameter& parameter : parameters_.list) {
    // A parameter is the rank's in whose equal share of the time its middle lies.
    const double middle = before + cost(parameter) / 2;
    while (static_cast<double>(rank_ends_.size() + 1) * total <= middle * cluster_.size() &&
           std::ssize(rank_ends_) + 1 < cluster_.size())
      rank_ends_.push_back(parameter.offset);
    before += cost(parameter);
  }
  rank_ends_.resize(static_cast<size_t>(cluster_.size()), parameters_.size);
}

bool Optimizer::is_own(const Parameter& parameter) const {
  const auto rank = static_cast<size_t>(cluster_.rank());
  return parameter.offset < rank_ends_[rank] &&
         (rank == 0 || parameter.offset >= rank_ends_[rank - 1]);
}

void Optimizer::step(std::span<const float> gradient, float gradient_scale, float learning_rate,
                     std::span<float> values, ThreadTeam& team) {
  ++state_.steps;
  if (scratch_.size() < static_cast<size_t>(team.size()))
    scratch_ = std::vector<Scratch>(static_cast<size_t>(team.size()));
  team.for_each(static_cast<int64_t>(parameters_.list.size()), [&](int rank, int64_t index) {
    step_parameter(order_[static_cast<size_t>(index)], gradient, gradient_scale, learning_rate,
                   values, scratch_[static_cast<size_t>(rank)]);
  });
  if (options_.kind == OptimizerKind::muon) cluster_.all_gather(values, rank_ends_);
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
  const std::span<float> direction = reserve(scratch.direction, parameter.size);
  if (is_orthogonalised(parameter)) {
    update_momentum(parameter, own_gradient, gradient_scale);
    if (!is_own(parameter)) return;
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

void Optimizer::update_momentum(const Parameter& parameter, std::span<const float> gradient,
                                float gradient_scale) {
  const std::span<float> momentum = state_.moment1.span().subspan(parameter.offset, parameter.size);
  const float beta = options_.muon_momentum;
  weighted_sum((1.0f - beta) * gradient_scale, gradient, beta, momentum, momentum);
}

void Optimizer::muon_direction(const Parameter& parameter, std::span<const float> gradient,
                               float gradient_scale, Scratch& scratch) {
  const int64_t rows = parameter.shape[0];
  const int64_t columns = parameter.shape[1];
  const std::span<const float> momentum =
      state_.moment1.span().subspan(parameter.offset, parameter.size);
  const float beta = options_.muon_momentum;
  // Nesterov: the momentum as the next step will see it.
  const std::span<float> x(scratch.direction.data(), parameter.size);
  weighted_sum((1.0f - beta) * gradient_scale, gradient, beta, momentum, x);
  const auto norm = static_cast<float>(std::sqrt(sum_of_squares(x)));
  weighted_sum(1.0f / (norm + 1e-20f), x, 0.0f, x, x);

  const Matrix<float> matrix(x.data(), rows, columns);
  if (products_ == ElementType::bf16)
    scratch.in_bfloat16.run(scratch.multiplier, matrix);
  else
    scratch.in_float.run(scratch.multiplier, matrix);
  const float scale = 0.2f * std::sqrt(static_cast<float>(std::max(rows, columns)));
  weighted_sum(scale, x, 0.0f, x, x);
}

void Optimizer::add_smooth_direction(size_t index, std::span<const float> gradient,
                                     float gradient_scale, Scratch& scratch) {
  const int64_t columns = width(parameters_.list[index]);
  const auto size = static_cast<size_t>(kCosines * columns);
  const std::span<float> coefficients = reserve(scratch.coefficients, size);
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

#include "training/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>
#include <vector>

#include "catch.h"
#include "model/random_model.h"

namespace combiner {
namespace {

using Doubles = std::vector<double>;

constexpr int kSteps = 4;
constexpr float kLearningRate = 0.01f;
// Clipping scales the gradients differently from step to step. If the scale were constant, AdamW
// would not notice it.
constexpr std::array<float, kSteps> kGradientScales = {0.5f, 1.0f, 0.125f, 0.75f};

OptimizerOptions options_of(OptimizerKind kind) {
  OptimizerOptions options;
  options.kind = kind;
  options.weight_decay = 0.1f;
  return options;
}

// Square, tall and wide matrices, value tables with and without a 257th row, and vectors.
Weights first_weights() {
  Random random(2);
  return random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 3, 4), random);
}

// The gradients of each step have another magnitude.
std::vector<std::vector<float>> random_gradients(size_t size) {
  Random random(3);
  std::vector<std::vector<float>> gradients;
  for (int step = 0; step < kSteps; ++step)
    gradients.push_back(random.normals(size, 0.1 * (step + 1)));
  return gradients;
}

Weights optimized(const OptimizerOptions& options, int threads,
                  ElementType products = ElementType::f32) {
  Weights weights = first_weights();
  Optimizer optimizer(weights.parameters, options, products);
  ThreadTeam team(threads);
  const auto gradients = random_gradients(weights.values.size());
  for (size_t step = 0; step < kSteps; ++step)
    optimizer.step(gradients[step], kGradientScales[step], kLearningRate, weights.values.span(),
                   team);
  return weights;
}

// What the optimiser must do, in double and by the definitions. Each class turns a gradient into
// the step that is multiplied by the learning rate and subtracted.
class PlainAdam {
 public:
  PlainAdam(size_t size, const OptimizerOptions& options) : options_(options), m_(size), v_(size) {}

  Doubles direction(const Doubles& gradient) {
    const double beta1 = options_.beta1, beta2 = options_.beta2;
    ++steps_;
    Doubles result;
    for (size_t i = 0; i < gradient.size(); ++i) {
      m_[i] = beta1 * m_[i] + (1 - beta1) * gradient[i];
      v_[i] = beta2 * v_[i] + (1 - beta2) * gradient[i] * gradient[i];
      const double m = m_[i] / (1 - std::pow(beta1, steps_));
      const double v = v_[i] / (1 - std::pow(beta2, steps_));
      result.push_back(m / (std::sqrt(v) + options_.epsilon));
    }
    return result;
  }

 private:
  OptimizerOptions options_;
  int steps_ = 0;
  Doubles m_, v_;
};

struct PlainMatrix {
  size_t rows, columns;
  Doubles values;

  PlainMatrix(size_t rows_, size_t columns_)
      : PlainMatrix(rows_, columns_, Doubles(rows_ * columns_)) {}
  PlainMatrix(size_t rows_, size_t columns_, Doubles values_)
      : rows(rows_), columns(columns_), values(std::move(values_)) {}
  double& at(size_t i, size_t j) { return values[i * columns + j]; }
  double at(size_t i, size_t j) const { return values[i * columns + j]; }
};

PlainMatrix transpose(const PlainMatrix& a) {
  PlainMatrix result(a.columns, a.rows);
  for (size_t i = 0; i < a.rows; ++i)
    for (size_t j = 0; j < a.columns; ++j) result.at(j, i) = a.at(i, j);
  return result;
}

PlainMatrix product(const PlainMatrix& a, const PlainMatrix& b) {
  PlainMatrix result(a.rows, b.columns);
  for (size_t i = 0; i < a.rows; ++i)
    for (size_t k = 0; k < a.columns; ++k)
      for (size_t j = 0; j < b.columns; ++j) result.at(i, j) += a.at(i, k) * b.at(k, j);
  return result;
}

class PlainMuon {
 public:
  PlainMuon(size_t rows, size_t columns, double momentum)
      : beta_(momentum), momentum_(rows, columns) {}

  PlainMatrix direction(const Doubles& gradient) {
    PlainMatrix x(momentum_.rows, momentum_.columns);
    double squares = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      double& momentum = momentum_.values[i];
      momentum = beta_ * momentum + (1 - beta_) * gradient[i];
      x.values[i] = beta_ * momentum + (1 - beta_) * gradient[i];
      squares += x.values[i] * x.values[i];
    }
    for (double& value : x.values) value /= std::sqrt(squares);
    for (int step = 0; step < 5; ++step) {  // x = a x + (b x x^T + c (x x^T)^2) x
      const PlainMatrix square = product(x, transpose(x));
      PlainMatrix polynomial = product(square, square);
      for (size_t i = 0; i < square.values.size(); ++i)
        polynomial.values[i] = -4.7750 * square.values[i] + 2.0315 * polynomial.values[i];
      const PlainMatrix change = product(polynomial, x);
      for (size_t i = 0; i < x.values.size(); ++i)
        x.values[i] = 3.4445 * x.values[i] + change.values[i];
    }
    for (double& value : x.values)
      value *= 0.2 * std::sqrt(static_cast<double>(std::max(x.rows, x.columns)));
    return x;
  }

 private:
  double beta_;
  PlainMatrix momentum_;
};

Doubles scaled_gradient(const std::vector<float>& gradient, double scale,
                        const Parameter& parameter) {
  Doubles result;
  for (size_t i = 0; i < parameter.size; ++i)
    result.push_back(scale * gradient[parameter.offset + i]);
  return result;
}

void descend(const Doubles& direction, double decay, Doubles& values) {
  for (size_t i = 0; i < values.size(); ++i)
    values[i] -= kLearningRate * (direction[i] + decay * values[i]);
}

// The definition of a value table: free values plus a sum of cosines. The two sets of parameters
// are learned side by side.
class PlainSmoothTable {
 public:
  PlainSmoothTable(Doubles values, size_t columns, const OptimizerOptions& options, double decay)
      : columns_(columns),
        decay_(decay),
        free_(std::move(values)),
        coefficients_(kCosines * columns),
        free_adam_(free_.size(), options),
        coefficient_adam_(coefficients_.size(), options) {}

  void step(const Doubles& gradient) {
    Doubles coefficient_gradient(coefficients_.size());
    for_each([&](size_t entry, size_t coefficient, double cosine) {
      coefficient_gradient[coefficient] += cosine * gradient[entry];
    });
    descend(free_adam_.direction(gradient), decay_, free_);
    descend(coefficient_adam_.direction(coefficient_gradient), decay_, coefficients_);
  }

  Doubles values() const {
    Doubles result = free_;
    for_each([&](size_t entry, size_t coefficient, double cosine) {
      result[entry] += cosine * coefficients_[coefficient];
    });
    return result;
  }

 private:
  static constexpr size_t kValues = 256, kCosines = 32;

  template <class Visit>
  void for_each(const Visit& visit) const {
    for (size_t v = 0; v < kValues; ++v)
      for (size_t k = 0; k < kCosines; ++k) {
        const double cosine = std::cos(std::numbers::pi * static_cast<double>(k) *
                                       (static_cast<double>(v) + 0.5) / kValues);
        for (size_t j = 0; j < columns_; ++j) visit(v * columns_ + j, k * columns_ + j, cosine);
      }
  }

  size_t columns_;
  double decay_;
  Doubles free_, coefficients_;
  PlainAdam free_adam_, coefficient_adam_;
};

Doubles plainly_optimized(const Weights& weights, const Parameter& parameter,
                          const OptimizerOptions& options) {
  const float* first = weights.values.data() + parameter.offset;
  Doubles values(first, first + parameter.size);
  const double decay = parameter.shape.size() > 1 ? options.weight_decay : 0.0;
  const auto rows = static_cast<size_t>(parameter.shape[0]);
  const size_t columns = parameter.size / rows;
  PlainAdam adam(parameter.size, options);
  PlainMuon muon(rows, columns, options.muon_momentum);
  PlainSmoothTable table(values, columns, options, decay);
  const bool is_table = parameter.kind == ParameterKind::value_table;
  const bool is_muon =
      parameter.kind == ParameterKind::matrix && options.kind == OptimizerKind::muon;
  const auto gradients = random_gradients(weights.values.size());
  for (size_t step = 0; step < kSteps; ++step) {
    const Doubles gradient = scaled_gradient(gradients[step], kGradientScales[step], parameter);
    if (is_table)
      table.step(gradient);
    else
      descend(is_muon ? muon.direction(gradient).values : adam.direction(gradient), decay, values);
  }
  return is_table ? table.values() : values;
}

// The largest difference from plain arithmetic, in units of the learning rate. Any mistake in a
// step's size or direction shows in these units.
double worst_error(const OptimizerOptions& options, ParameterKind kind) {
  const Weights before = first_weights();
  const Weights after = optimized(options, 1);
  double worst = 0;
  for (const Parameter& parameter : before.parameters.list) {
    if (parameter.kind != kind) continue;
    const Doubles expected = plainly_optimized(before, parameter, options);
    for (size_t i = 0; i < parameter.size; ++i) {
      const double error = std::abs(after.values[parameter.offset + i] - expected[i]);
      worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error / kLearningRate);
    }
  }
  return worst;
}

// The eigenvalues of a symmetric matrix, by Jacobi rotations.
Doubles eigenvalues(PlainMatrix a) {
  for (int sweep = 0; sweep < 30; ++sweep)
    for (size_t p = 0; p < a.rows; ++p)
      for (size_t q = p + 1; q < a.rows; ++q) {
        if (std::abs(a.at(p, q)) < 1e-15) continue;
        const double angle = 0.5 * std::atan2(2 * a.at(p, q), a.at(p, p) - a.at(q, q));
        const double c = std::cos(angle), s = std::sin(angle);
        for (size_t i = 0; i < a.rows; ++i) {
          const double ip = a.at(i, p), iq = a.at(i, q);
          a.at(i, p) = c * ip + s * iq;
          a.at(i, q) = c * iq - s * ip;
        }
        for (size_t j = 0; j < a.rows; ++j) {
          const double pj = a.at(p, j), qj = a.at(q, j);
          a.at(p, j) = c * pj + s * qj;
          a.at(q, j) = c * qj - s * pj;
        }
      }
  Doubles result;
  for (size_t i = 0; i < a.rows; ++i) result.push_back(a.at(i, i));
  return result;
}

// A float of magnitude 1 is rounded by 1e-7, a hundred-thousandth of the learning rate, in every
// step.
constexpr double kRounding = kSteps * 1e-7 / kLearningRate;

TEST_CASE("optimiser: AdamW is the textbook's, with weight decay on matrices only") {
  const OptimizerOptions options = options_of(OptimizerKind::adamw);
  CHECK(worst_error(options, ParameterKind::other) < 2 * kRounding);
  CHECK(worst_error(options, ParameterKind::matrix) < 2 * kRounding);
}

TEST_CASE("optimiser: a smooth table is free values plus cosines, each with its own AdamW") {
  // The steps of 32 coefficients add up.
  CHECK(worst_error(options_of(OptimizerKind::adamw), ParameterKind::value_table) < 10 * kRounding);
}

TEST_CASE("optimiser: Muon is momentum and five Newton-Schulz steps, on matrices only") {
  const OptimizerOptions options = options_of(OptimizerKind::muon);
  // Each of the five steps multiplies small singular values, and their rounding errors, by 3.4.
  CHECK(worst_error(options, ParameterKind::matrix) < 100 * kRounding);
  CHECK(worst_error(options, ParameterKind::other) < 2 * kRounding);
}

TEST_CASE("optimiser: Muon's steps with products in bfloat16 are close to its definition") {
  OptimizerOptions options = options_of(OptimizerKind::muon);
  options.weight_decay = 0;
  const Weights before = first_weights();
  const Weights after = optimized(options, 1, ElementType::bf16);
  for (const Parameter& parameter : before.parameters.list) {
    if (parameter.kind != ParameterKind::matrix) continue;
    const Doubles expected = plainly_optimized(before, parameter, options);
    double error = 0, whole = 0;
    for (size_t i = 0; i < parameter.size; ++i) {
      error += std::pow(after.values[parameter.offset + i] - expected[i], 2);
      whole += std::pow(expected[i] - before.values[parameter.offset + i], 2);
    }
    INFO(parameter.name);
    // Each of five steps of three products rounds its factors by up to 2^-9, and small singular
    // values grow 3.4-fold a step, with their errors.
    CHECK(std::sqrt(error / whole) < 0.05);
  }
}

// The singular values of a matrix.
Doubles singular_values(const float* values, const Parameter& parameter) {
  const auto rows = static_cast<size_t>(parameter.shape[0]);
  PlainMatrix x(rows, parameter.size / rows, Doubles(values, values + parameter.size));
  if (x.rows > x.columns) x = transpose(x);
  Doubles result;
  for (const double square : eigenvalues(product(x, transpose(x))))
    result.push_back(std::sqrt(std::max(square, 0.0)));
  return result;
}

TEST_CASE("optimiser: Muon's step is nearly orthogonal, regardless of the gradient's size") {
  const ElementType products = GENERATE(ElementType::f32, ElementType::bf16);
  // Rounding to bfloat16 moves each element by at most half a unit of 2^-8, and so moves the
  // singular values by at most this part of the norm. At first this is the norm of all singular
  // values together, which is 1; at the end it is the norm of as many values of up to 1.3. Later
  // steps correct the roundings of the steps in between.
  const double rounding = products == ElementType::bf16 ? 0x1p-9 : 0.0;
  OptimizerOptions options = options_of(OptimizerKind::muon);
  options.weight_decay = 0;
  for (const double size : {1e-6, 1.0, 1e6}) {
    Weights weights = first_weights();
    Random random(5);
    const std::vector<float> gradient = random.normals(weights.values.size(), size);
    Optimizer optimizer(weights.parameters, options, products);
    ThreadTeam team(1);
    weights.values.fill(0);
    optimizer.step(gradient, 1.0f, 1.0f, weights.values.span(), team);
    int checked = 0;
    for (const Parameter& parameter : weights.parameters.list) {
      if (parameter.kind != ParameterKind::matrix) continue;
      INFO(parameter.name << ", gradients of " << size);
      const Doubles before = singular_values(gradient.data() + parameter.offset, parameter);
      double norm = 0;
      for (const double value : before) norm += value * value;
      // Five steps raise a value of 0.001 of the norm to 0.47, and larger ones to between 0.6 and
      // 1.3.
      const double smallest = *std::min_element(before.begin(), before.end()) / std::sqrt(norm);
      const double last = rounding * 1.3 * std::sqrt(static_cast<double>(before.size()));
      const double least = std::min(0.6, 400 * (smallest - rounding)) - last;
      const double scale =
          0.2 * std::sqrt(static_cast<double>(std::max(parameter.shape[0], parameter.shape[1])));
      for (const double value :
           singular_values(weights.values.data() + parameter.offset, parameter)) {
        CHECK(value > scale * least);
        CHECK(value < scale * (1.3 + last));
      }
      ++checked;
    }
    CHECK(checked == 2 * 8);
  }
}

TEST_CASE("optimiser: without a gradient there is no step") {
  for (const OptimizerKind kind : {OptimizerKind::muon, OptimizerKind::adamw}) {
    OptimizerOptions options = options_of(kind);
    options.weight_decay = 0;
    Weights weights = first_weights();
    Optimizer optimizer(weights.parameters, options, ElementType::f32);
    ThreadTeam team(1);
    const std::vector<float> nothing(weights.values.size());
    optimizer.step(nothing, 1.0f, 0.1f, weights.values.span(), team);
    CHECK(std::equal(weights.values.begin(), weights.values.end(), first_weights().values.begin()));
    CHECK(optimizer.state().steps == 1);
  }
}

TEST_CASE("optimiser: equal bits from any number of threads") {
  for (const OptimizerKind kind : {OptimizerKind::muon, OptimizerKind::adamw})
    for (const ElementType products : {ElementType::f32, ElementType::bf16}) {
      const Weights one = optimized(options_of(kind), 1, products);
      for (const int threads : {2, 3, 5}) {
        const Weights many = optimized(options_of(kind), threads, products);
        CHECK(std::memcmp(many.values.data(), one.values.data(),
                          one.values.size() * sizeof(float)) == 0);
      }
    }
}

}  // namespace
}  // namespace combiner

#include <cmath>
#include <string>
#include <vector>

#include "catch.h"
#include "combiner/attention.h"
#include "combiner/config.h"
#include "combiner/error.h"
#include "data_folders.h"
#include "error_of.h"
#include "random.h"
#include "weights/safetensors.h"

namespace combiner {
namespace {

// A tensor of a file as a matrix; empty if the file lacks it.
class FileMatrix {
 public:
  FileMatrix() = default;
  FileMatrix(const SafetensorsFile& file, const std::string& name) {
    const TensorView* tensor = file.find(name);
    if (!tensor) return;
    values_.resize(static_cast<size_t>(tensor->elements()));
    to_floats(*tensor, values_);
    columns_ = tensor->shape.back();
  }

  Matrix<const float> view() const {
    return values_.empty()
               ? Matrix<const float>()
               : Matrix<const float>(values_.data(),
                                     static_cast<int64_t>(values_.size()) / columns_, columns_);
  }
  const std::vector<float>& values() const { return values_; }

 private:
  std::vector<float> values_;
  int64_t columns_ = 1;
};

double relative_error(const std::vector<float>& actual, const std::vector<float>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(actual[i] - expected[i], 2);
    norm += std::pow(expected[i], 2);
  }
  return std::sqrt(error / norm);
}

TEST_CASE("The attention layer agrees with the NumPy reference, causal and bidirectional") {
  int bidirectional = 0;
  int causal = 0;
  for (const auto& entry : std::filesystem::directory_iterator(attention_folder())) {
    if (entry.path().extension() != ".safetensors") continue;
    INFO(entry.path().filename().string());
    const SafetensorsFile file = SafetensorsFile::open(entry.path());
    const auto number = [&](const char* key) { return std::stoll(file.metadata().at(key)); };
    const FileMatrix query(file, "query"), key(file, "key"), value(file, "value"),
        input(file, "input"), summary_output(file, "summary_output.weight"),
        summary_key(file, "summary_key.weight"), norm_weight(file, "summary_norm.weight"),
        norm_bias(file, "summary_norm.bias"), expected(file, "output");
    const AttentionShape shape{number("rows"), number("columns"), query.view().columns,
                               number("num_heads"), std::stof(file.metadata().at("norm_epsilon"))};
    const bool is_causal = entry.path().filename().string().starts_with("causal_");
    AttentionLayer layer(attention_named(file.metadata().at("attention")).value(), shape,
                         is_causal ? Direction::causal : Direction::bidirectional,
                         {summary_output.view(), summary_key.view(), norm_weight.view().data,
                          norm_bias.view().data});
    std::vector<float> out(expected.values().size());
    // Run twice: one call must leave no state behind for the next.
    for (int i = 0; i < 2; ++i) {
      layer.forward({query.view(), key.view(), value.view(), input.view()},
                    {out.data(), shape.positions(), shape.dim});
      // About a hundred roundings of 6e-8, in sums of up to 24 terms.
      CHECK(relative_error(out, expected.values()) < 2e-6);
    }
    ++(is_causal ? causal : bidirectional);
  }
  CHECK(causal == static_cast<int>(std::size(kAttentions)));
  CHECK(bidirectional == 8);  // all but those with spans
}

// A layer's inputs and weights with random values.
struct Tensors {
  explicit Tensors(const AttentionShape& shape_, uint64_t seed) : shape(shape_) {
    Random random(seed);
    for (std::vector<float>* m : {&query, &key, &value, &input})
      *m = random.normals(static_cast<size_t>(shape.positions() * shape.dim));
    for (std::vector<float>* m : {&output, &summary_key})
      *m = random.normals(static_cast<size_t>(shape.dim * shape.dim), 0.4);
    norm_weight = random.normals(static_cast<size_t>(shape.dim));
    norm_bias = random.normals(static_cast<size_t>(shape.dim));
  }
  Matrix<float> positions(std::vector<float>& m) const {
    return {m.data(), shape.positions(), shape.dim};
  }
  Matrix<float> square(std::vector<float>& m) const { return {m.data(), shape.dim, shape.dim}; }
  AttentionTensors tensors() {
    return {positions(query), positions(key), positions(value), positions(input)};
  }
  SummaryTensors summary() {
    return {square(output), square(summary_key), norm_weight.data(), norm_bias.data()};
  }
  AttentionTensorGradients gradients() {
    return {positions(query),
            positions(key),
            positions(value),
            positions(input),
            {square(output), square(summary_key), norm_weight.data(), norm_bias.data()}};
  }
  std::vector<std::vector<float>*> all() {
    return {&query, &key, &value, &input, &output, &summary_key, &norm_weight, &norm_bias};
  }

  AttentionShape shape;
  std::vector<float> query, key, value, input, output, summary_key, norm_weight, norm_bias;
};

TEST_CASE("The attention layer follows changes of its weights") {
  const AttentionShape shape{4, 5, 8, 2};
  Tensors at(shape, 1);
  AttentionLayer layer(Attention::axial_rowmajor, shape, Direction::causal, at.summary());
  std::vector<float> first(at.query.size()), followed(first), anew(first);
  layer.forward(at.tensors(), at.positions(first));
  for (float& weight : at.output) weight *= 0.5f;
  layer.forward(at.tensors(), at.positions(followed));
  AttentionLayer(Attention::axial_rowmajor, shape, Direction::causal, at.summary())
      .forward(at.tensors(), at.positions(anew));
  CHECK(followed == anew);
  CHECK(followed != first);
}

// Other tests check the gradients themselves in double precision through a model (see training/).
// This one checks that the layer returns each gradient in its place. A sum over all outputs in
// float leaves only a few digits for that.
TEST_CASE("The attention layer's gradients match the slopes of its output") {
  const AttentionShape shape{4, 5, 8, 2};
  for (const Attention attention : kAttentions) {
    INFO(name(attention));
    const bool summaries = attention == Attention::axial_rowmajor;
    Tensors at(shape, 1), gradient(shape, 2);
    // The gradients of inputs are overwritten, whatever stood there; those of weights are added.
    for (std::vector<float>* m : {&gradient.query, &gradient.key, &gradient.value})
      std::fill(m->begin(), m->end(), NAN);
    if (summaries) std::fill(gradient.input.begin(), gradient.input.end(), NAN);
    Tensors before = gradient;
    const std::vector<float> weight =
        Random(3).normals(static_cast<size_t>(shape.positions() * shape.dim));
    AttentionLayer layer(attention, shape, Direction::causal,
                         summaries ? at.summary() : SummaryTensors{});
    std::vector<float> out(weight.size());
    const auto loss = [&] {
      layer.forward(at.tensors(), at.positions(out));
      double sum = 0;
      for (size_t i = 0; i < out.size(); ++i) sum += double{weight[i]} * out[i];
      return sum;
    };
    loss();
    layer.backward(at.tensors(), {weight.data(), shape.positions(), shape.dim},
                   gradient.gradients());

    constexpr size_t kInputs = 4;
    for (size_t tensor = 0; tensor < at.all().size(); ++tensor) {
      INFO("tensor " << tensor);
      const std::vector<float>& g = *gradient.all()[tensor];
      if (!summaries && tensor >= kInputs - 1) {
        CHECK(g == *before.all()[tensor]);  // not used
        continue;
      }
      // A short step crosses few kinks of the maxima.
      constexpr float kStep = 1e-2f;
      double error = 0, whole = 0;
      for (size_t i = 0; i < g.size(); ++i) {
        float& value = (*at.all()[tensor])[i];
        const float middle = value;
        value = middle + kStep;
        const double above = loss();
        value = middle - kStep;
        const double slope = (above - loss()) / (2 * kStep);
        value = middle;
        const double added = tensor < kInputs ? 0.0 : (*before.all()[tensor])[i];
        error += std::pow(g[i] - added - slope, 2);
        whole += slope * slope;
      }
      REQUIRE(whole > 0);
      CHECK(std::sqrt(error / whole) < 0.02);
    }
  }
}

TEST_CASE("The attention layer refuses mismatched arguments") {
  const AttentionShape shape{2, 3, 4, 2};
  std::vector<float> x(24), out(24);
  const Matrix<const float> in(x.data(), 6, 4);
  const auto make = [](Attention attention, const AttentionShape& s, Direction direction) {
    return error_of([&] { AttentionLayer(attention, s, direction); });
  };
  CHECK(make(Attention::full, {2, 3, 5, 2}, Direction::causal) ==
        "attention with 5 features in 2 heads: expected a multiple of the heads");
  CHECK(make(Attention::full, {0, 3, 4, 2}, Direction::causal).find("at least one") !=
        std::string::npos);
  constexpr int64_t kLarge = int64_t{1} << 31;
  for (const AttentionShape& large :
       {AttentionShape{kLarge * kLarge, 4, 4, 2}, AttentionShape{kLarge, kLarge, 4, 2},
        AttentionShape{kLarge, 1, kLarge, 2}})
    CHECK(make(Attention::full, large, Direction::causal).find("expected at most") !=
          std::string::npos);
  AttentionShape negative = shape;
  negative.norm_epsilon = -1;
  CHECK(make(Attention::full, negative, Direction::causal) ==
        "attention with a norm_epsilon of -1: expected a finite number above 0");
  CHECK(make(Attention::logsparse, shape, Direction::bidirectional) ==
        "attention logsparse only looks at what is before");
  CHECK(make(Attention::axial_rowmajor, shape, Direction::causal).find("summary output weight") !=
        std::string::npos);
  CHECK(error_of([&] {
          AttentionLayer(Attention::fixed, shape, Direction::causal, {{}, {}, nullptr, x.data()});
        }) == "attention fixed has no summaries, so no weights of them");

  AttentionLayer layer(Attention::fixed, shape, Direction::bidirectional);
  CHECK(error_of([&] {
          layer.forward({in, {x.data(), 5, 4}, in}, {out.data(), 6, 4});
        }) == "attention's key is [5, 4], expected [6, 4]");
  CHECK(error_of([&] {
          layer.forward({in, in, in}, {});
        }) == "attention's output is [0, 0], expected [6, 4]");
  CHECK(error_of([&] {
          layer.backward({in, in, in}, in, {});
        }) == "attention that looks both ways has no backward pass");

  AttentionLayer causal(Attention::fixed, shape, Direction::causal);
  std::vector<float> d_query(24), d_key(24), d_value(24);
  const auto backward = [&] {
    causal.backward({in, in, in}, in,
                    {{d_query.data(), 6, 4}, {d_key.data(), 6, 4}, {d_value.data(), 6, 4}, {}, {}});
  };
  CHECK_THROWS_AS(backward(), std::logic_error);
  causal.forward({in, in, in}, {out.data(), 6, 4});
  backward();
}

}  // namespace
}  // namespace combiner

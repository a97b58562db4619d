// The attention layer on its own.
#include "combiner/attention.h"

#include <fmt/format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>

#include "arrays.h"
#include "base/in_use.h"
#include "combiner/error.h"
#include "module.h"
#include "watched.h"

namespace combiner {
namespace py = pybind11;
namespace {

constexpr const char* kBusy =
    "the attention layer is in use, by another thread or by a function that it called";

// The weights of axial_rowmajor's summaries: output, key, norm weight, norm bias.
using SummaryArrays = std::array<FloatArray, 4>;

Matrix<const float> matrix_of(const FloatArray& array, const char* what) {
  check_shape(array, what, {-1, -1});
  return {array.data(), array.shape(0), array.shape(1)};
}

class Layer {
 public:
  Layer(const std::string& variant, int64_t rows, int64_t columns, int64_t dim, int64_t heads,
        bool bidirectional, float norm_epsilon, std::optional<SummaryArrays> summary)
      : summary_(std::move(summary)),
        shape_{.rows = rows,
               .columns = columns,
               .dim = dim,
               .heads = heads,
               .norm_epsilon = norm_epsilon} {
    const auto attention = attention_named(variant);
    if (!attention) throw std::invalid_argument(fmt::format("attention '{}' is unknown", variant));
    SummaryTensors tensors;
    if (summary_) {
      const auto& [output, key, norm_weight, norm_bias] = *summary_;
      tensors = {matrix_of(output, "summary_output"), matrix_of(key, "summary_key"),
                 vector_of(norm_weight, "norm_weight"), vector_of(norm_bias, "norm_bias")};
    }
    layer_.emplace(*attention, shape_, bidirectional ? Direction::bidirectional : Direction::causal,
                   tensors);
  }

  FloatArray forward(const FloatArray& query, const FloatArray& key, const FloatArray& value,
                     const std::optional<FloatArray>& input) {
    const InUse<std::runtime_error> in_use(busy_, kBusy);  // RuntimeError in Python
    AttentionTensors tensors = {matrix_of(query, "query"), matrix_of(key, "key"),
                                matrix_of(value, "value")};
    if (input) tensors.input = matrix_of(*input, "input");
    FloatArray out({shape_.positions(), shape_.dim});
    const Matrix<float> to(out.mutable_data(), shape_.positions(), shape_.dim);
    Watched().run([&] { layer_->forward(tensors, to); });
    return out;
  }

 private:
  const float* vector_of(const FloatArray& array, const char* what) const {
    check_shape(array, what, {shape_.dim});
    return array.data();
  }

  std::optional<SummaryArrays> summary_;  // which the layer reads
  AttentionShape shape_;
  std::optional<AttentionLayer> layer_;
  std::atomic_flag busy_;
};

}  // namespace

void bind_attention(py::module_& module) {
  std::vector<std::string> variants;
  for (const Attention attention : kAttentions) variants.emplace_back(name(attention));
  module.attr("attention_variants") = py::tuple(py::cast(variants));
  py::class_<Layer>(module, "Attention")
      .def(py::init<const std::string&, int64_t, int64_t, int64_t, int64_t, bool, float,
                    std::optional<SummaryArrays>>())
      .def("forward", &Layer::forward);
}

}  // namespace combiner

// Matrix products by oneDNN; no other file uses that library. multiply_panels computes the products
// with weights in panels, and those that oneDNN does not support or computes wrongly. All other
// oneDNN errors become an Error that describes the product.
#pragma once

#include <cstdint>
#include <memory>

#include "combiner/matrix.h"
#include "kernels/panels.h"
#include "tensor/bfloat16.h"

namespace combiner {

enum class ElementType : uint8_t { f32, bf16 };

template <class T>
inline constexpr ElementType element_type = ElementType::f32;
template <>
inline constexpr ElementType element_type<bfloat16> = ElementType::bf16;

// A factor of a product: a stored matrix, or its transpose.
struct Factor {
  const void* data;
  ElementType type;
  int64_t rows, columns;  // of the factor, that is, after transposition
  int64_t stride;         // of the stored matrix, in elements
  bool transposed;
};
template <class T>
Factor plain(Matrix<T> m) {
  return {m.data, element_type<std::remove_const_t<T>>, m.rows, m.columns, m.stride, false};
}
template <class T>
Factor transposed(Matrix<T> m) {
  return {m.data, element_type<std::remove_const_t<T>>, m.columns, m.rows, m.stride, true};
}

// Where a product is stored: [rows, columns], with rows `stride` elements apart.
struct Product {
  void* data;
  ElementType type;
  int64_t rows, columns, stride;
  template <class T>
  Product(Matrix<T> m)  // NOLINT: implicit
      : data(m.data), type(element_type<T>), rows(m.rows), columns(m.columns), stride(m.stride) {}
};

// The weights [out, in] of a dense layer, with out and in at least 1, in the layout that suits the
// processor's products. Cheap to copy: copies share the storage. Threads may share it, too.
class PackedWeights {
 public:
  PackedWeights() = default;
  // Copies `weights`, rounded to `type`. They need not outlive the call.
  PackedWeights(Matrix<const float> weights, ElementType type)
      : PackedWeights(transposed(weights), type) {}
  // The same for float weights given as [in, out], the second factor of the layer's products.
  // Weights of bfloat16 become panels, placed in `memory`, or in memory of their own if it is null.
  PackedWeights(const Factor& weights, ElementType type,
                std::shared_ptr<PanelMemory> memory = nullptr);
  // Weights whose products multiply_panels computes.
  explicit PackedWeights(PanelWeights panels);
  // Refers to weights [in, out] in place. They must stay there, but may change between products.
  static PackedWeights view(const Factor& weights);

  // If this owns a copy, overwrites it with other float weights [in, out] of the same shape. Must
  // not be called while a product reads the copy. Throws std::logic_error for another type or
  // shape.
  void repack(const Factor& weights);

  int64_t out() const;
  int64_t in() const;
  // The panels, if products read them; otherwise null.
  const PanelWeights* panels() const;

 private:
  friend class Multiplier;
  struct Packed;
  std::shared_ptr<Packed> packed_;
};

// Computes products on the calling thread. Keeps the oneDNN primitives it has created, so it should
// live as long as its thread's work. Must not be used by two threads at once.
class Multiplier {
 public:
  Multiplier();
  ~Multiplier();
  Multiplier(Multiplier&&) noexcept;
  Multiplier& operator=(Multiplier&&) noexcept;

  // c = a b, or c += a b with `accumulate`. a and b have the same element type; c is float or has
  // that type, too. Accumulates in float. Throws std::logic_error if the shapes do not match and
  // Error if oneDNN fails.
  void multiply(const Factor& a, const Factor& b, const Product& c, bool accumulate = false);
  // A dense layer: c = a weights^T, followed by the epilogue. `a` must not be transposed. Products
  // of float inputs and bfloat16 weights are computed in float.
  void multiply(const Factor& a, const PackedWeights& weights, const Product& c,
                const Epilogue& epilogue = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A dense layer's product as oneDNN computes it, even where the model's products are computed by
// other kernels: the reference for their speed. Its operands are arbitrary; its weights are packed.
class OneDnnProduct {
 public:
  enum class Type : uint8_t { f32, bf16, int8 };  // of both operands and of the result

  // The product of inputs [rows, in] and weights [out, in].
  OneDnnProduct(Type type, int64_t rows, int64_t out, int64_t in);
  ~OneDnnProduct();
  OneDnnProduct(OneDnnProduct&&) noexcept;
  OneDnnProduct& operator=(OneDnnProduct&&) noexcept;

  // Computes the product on the calling thread.
  void make();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner

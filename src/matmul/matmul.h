// Matrix products, by oneDNN: no other file knows that library. Those with weights in panels are
// multiply_panels', and so are those that oneDNN does not make, or makes wrong. Whatever else it
// complains about becomes an Error that says of which product.
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

// Whether the processor multiplies bfloat16 matrices faster than float ones. Where it does not,
// products of bfloat16 matrices are computed in float: the same figures, without the speed.
bool has_native_bf16();

// Whether it multiplies int8 matrices faster than either.
bool has_native_int8();

// Whether weights of the type are best multiplied by multiply_panels: by tile registers it is
// faster than oneDNN, and ends with the activation.
bool panels_are_faster(ElementType type);

// A factor of a product: a stored matrix [rows, columns], or its transpose.
struct Factor {
  const void* data;
  ElementType type;
  int64_t rows, columns;  // of the factor, after the transpose if there is one
  int64_t stride;         // elements between rows of the stored matrix
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

// A product's place.
struct Product {
  void* data;
  ElementType type;
  int64_t rows, columns, stride;
  template <class T>
  Product(Matrix<T> m)  // NOLINT: a matrix is a product's place
      : data(m.data), type(element_type<T>), rows(m.rows), columns(m.columns), stride(m.stride) {}
};

// The weights [out, in] of a dense layer, at least one of each, laid out once as the processor's
// products like them.
// Cheap to copy, the copies being of one storage; may be shared by threads.
class PackedWeights {
 public:
  PackedWeights() = default;
  // Copies; `weights` may go.
  PackedWeights(Matrix<const float> weights, ElementType type)
      : PackedWeights(transposed(weights), type) {}
  // The same of [in, out], in float: the second factor of the layer's products. If
  // panels_are_faster(type) they lie in `memory`, or in their own.
  PackedWeights(const Factor& weights, ElementType type,
                std::shared_ptr<PanelMemory> memory = nullptr);
  // Weights whose products are those of multiply_panels.
  explicit PackedWeights(PanelWeights panels);
  // Refers to weights [in, out] that stay where they are and may change in place between products.
  static PackedWeights view(const Factor& weights);

  // Copies other weights [in, out] of the same shape in place of its own, if it owns a copy. Not
  // to be called while a product reads them.
  void repack(const Factor& weights);

  int64_t out() const;
  int64_t in() const;
  // The panels, if these are what the products read; else null.
  const PanelWeights* panels() const;

 private:
  friend class Multiplier;
  struct Packed;
  std::shared_ptr<Packed> packed_;
};

// Makes products on the calling thread. Keeps the primitives it has made, so one lives as long as
// its thread's work; not to be used by two threads at once.
class Multiplier {
 public:
  Multiplier();
  ~Multiplier();
  Multiplier(Multiplier&&) noexcept;
  Multiplier& operator=(Multiplier&&) noexcept;

  // c = a b, or c += a b with `accumulate`. a and b are of one element type; c is float, or of that
  // type too. Accumulated in float.
  void multiply(const Factor& a, const Factor& b, const Product& c, bool accumulate = false);
  // A dense layer: c = a weights^T, with `a` not transposed, and on with the epilogue. Floats times
  // weights in bfloat16 are multiplied in float.
  void multiply(const Factor& a, const PackedWeights& weights, const Product& c,
                const Epilogue& epilogue = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A dense layer's product as oneDNN makes it, whatever makes the model's: what they are measured
// beside. Its operands are its own and mean nothing; the weights are packed.
class OneDnnProduct {
 public:
  enum class Type : uint8_t { f32, bf16, int8 };  // of both operands and the product

  // Of [rows, in] and weights [out, in].
  OneDnnProduct(Type type, int64_t rows, int64_t out, int64_t in);
  ~OneDnnProduct();
  OneDnnProduct(OneDnnProduct&&) noexcept;
  OneDnnProduct& operator=(OneDnnProduct&&) noexcept;

  // On the calling thread.
  void make();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner

#include "matmul/matmul.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "combiner/error.h"
#include "cpu/features.h"
#include "kernels/rows.h"
#include "kernels/table.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

using Desc = dnnl::memory::desc;

// Caps oneDNN's instructions like our own, where there are caps: on x86. Overrides a cap in the
// environment, except with InstructionSet::native.
void cap_onednn([[maybe_unused]] InstructionSet cap) {
#if defined(__x86_64__)
  if (cap == InstructionSet::native) return;
  const dnnl::cpu_isa isa = cap == InstructionSet::avx2     ? dnnl::cpu_isa::avx2
                            : cap == InstructionSet::avx512 ? dnnl::cpu_isa::avx512_core
                                                            : dnnl::cpu_isa::avx512_core_bf16;
  if (dnnl::set_max_cpu_isa(isa) != dnnl::status::success)
    throw Error(
        "oneDNN takes no cap on its instructions: it has multiplied before, or was built "
        "without");
#endif
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine = [] {
    // Every product asks for the engine first; later, oneDNN would take no cap.
    cap_onednn(instruction_set_cap());
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

dnnl::memory::data_type data_type(ElementType type) {
  return type == ElementType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

Desc describe(const Factor& f) {
  const dnnl::memory::dims strides =
      f.transposed ? dnnl::memory::dims{1, f.stride} : dnnl::memory::dims{f.stride, 1};
  return Desc({f.rows, f.columns}, data_type(f.type), strides);
}

// Creates a oneDNN matmul. oneDNN removed operation descriptors in version 3.
dnnl::matmul::primitive_desc make_matmul(const Desc& a, const Desc& b, const Desc& c,
                                         const Desc* bias, bool accumulate) {
  dnnl::primitive_attr attributes;
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  if (bias) return {cpu_engine(), a, b, *bias, c, attributes};
  return {cpu_engine(), a, b, c, attributes};
#else
  if (bias) return {dnnl::matmul::desc(a, b, *bias, c), attributes, cpu_engine()};
  return {dnnl::matmul::desc(a, b, c), attributes, cpu_engine()};
#endif
}

// The same, or nothing if oneDNN has no primitive for this product.
std::optional<dnnl::matmul::primitive_desc> find_matmul(const Desc& a, const Desc& b, const Desc& c,
                                                        const Desc* bias, bool accumulate) try {
  return make_matmul(a, b, c, bias, accumulate);
} catch (const dnnl::error& error) {
  if (error.status != dnnl_unimplemented) throw;
  return std::nullopt;
}

// While it lives, the calling thread computes on its own: oneDNN would use a thread of OpenMP's for
// each processor.
class OnThisThread {
 public:
  OnThisThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OnThisThread() { omp_set_num_threads(before_); }
  OnThisThread(const OnThisThread&) = delete;
  OnThisThread& operator=(const OnThisThread&) = delete;

 private:
  int before_;
};

// Runs work() on this thread alone. If oneDNN fails, throws an Error that contains its message and
// the text of describe().
template <class Describe, class Work>
auto attempt(const Describe& describe, const Work& work) try {
  const OnThisThread alone;
  return work();
} catch (const dnnl::error& error) {
  const dnnl::version_t& version = *dnnl::version();
  throw Error(fmt::format("oneDNN {}.{}.{} failed in {}: {}", version.major, version.minor,
                          version.patch, describe(), error.what()));
}

const char* name(ElementType type) { return type == ElementType::bf16 ? "bf16" : "f32"; }

// The layout that oneDNN prefers for the weights of a product. A plain layout means that it has no
// packed one. Then [out, in], as stored, is best, because if `out` is a large power of two, the
// columns of the transpose fall on few cache sets.
Desc weights_layout(const Desc& a, dnnl::memory::data_type type, int64_t in, int64_t out,
                    const Desc& c) {
  const Desc any({in, out}, type, dnnl::memory::format_tag::any);
  const Desc ab({in, out}, type, dnnl::memory::format_tag::ab);
  const Desc ba({in, out}, type, dnnl::memory::format_tag::ba);
  const auto matmul = find_matmul(a, any, c, nullptr, false);
  if (!matmul) return ba;
  const Desc chosen = matmul->weights_desc();
  return chosen == ab ? ba : chosen;
}

void reorder(dnnl::memory& from, dnnl::memory& to) {
  dnnl::stream stream(cpu_engine());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

// What distinguishes one primitive from another.
struct Key {
  int64_t m, n, k, a_stride, b_stride, c_stride;
  ElementType in, out;
  bool a_transposed, b_transposed, b_packed, accumulate, bias;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const {
    uint64_t h = 0;
    const auto mix = [&h](uint64_t x) {
      h = (h ^ x) * 0x9e3779b97f4a7c15u;
      h ^= h >> 32;
    };
    for (const int64_t x : {key.m, key.n, key.k, key.a_stride, key.b_stride, key.c_stride})
      mix(static_cast<uint64_t>(x));
    uint64_t bits = 0;
    for (const bool b :
         {key.in == ElementType::bf16, key.out == ElementType::bf16, key.a_transposed,
          key.b_transposed, key.b_packed, key.accumulate, key.bias})
      bits = bits * 2 + b;
    mix(bits);
    return h;
  }
};

void to_float_matrix(const Factor& f, float* out) {
  const int64_t rows = f.transposed ? f.columns : f.rows;
  const int64_t columns = f.transposed ? f.rows : f.columns;
  convert<bfloat16, float>({static_cast<const bfloat16*>(f.data), rows, columns, f.stride},
                           {out, rows, columns});
}

// Copies float weights [in, out] to rows [out, in].
void copy_transposed(const Factor& weights, float* to) {
  const auto* data = static_cast<const float*>(weights.data);
  const int64_t out_stride = weights.transposed ? weights.stride : 1;
  const int64_t in_stride = weights.transposed ? 1 : weights.stride;
  // Copies in squares, so that rows stay in cache even where they are far apart.
  constexpr int64_t kSide = 16;
  for (int64_t first_i = 0; first_i < weights.columns; first_i += kSide)
    for (int64_t first_j = 0; first_j < weights.rows; first_j += kSide)
      for (int64_t i = first_i; i < std::min(first_i + kSide, weights.columns); ++i)
        for (int64_t j = first_j; j < std::min(first_j + kSide, weights.rows); ++j)
          to[i * weights.rows + j] = data[i * out_stride + j * in_stride];
}

// Float weights [in, out] in the form from which panels are packed.
StoredWeights stored_weights(const Factor& weights) {
  const auto* data = static_cast<const float*>(weights.data);
  if (weights.transposed)
    return Matrix<const float>(data, weights.columns, weights.rows, weights.stride);
  return {Matrix<const float>(data, weights.rows, weights.columns, weights.stride), true};
}

void check_shapes(const Factor& a, int64_t in, int64_t out, const Product& c) {
  if (a.columns != in || c.rows != a.rows || c.columns != out)
    throw std::logic_error(fmt::format("product of [{}, {}] and [{}, {}] into [{}, {}]", a.rows,
                                       a.columns, in, out, c.rows, c.columns));
}

std::string description(const Factor& a, const Factor& b, const Product& c) {
  const auto stored = [](const Factor& f) {
    return fmt::format("[{}, {}] of {}{}, rows {} apart", f.rows, f.columns, name(f.type),
                       f.transposed ? " transposed" : "", f.stride);
  };
  return fmt::format("the product of {}, and {} into [{}, {}] of {}, rows {} apart", stored(a),
                     stored(b), c.rows, c.columns, name(c.type), c.stride);
}

// Whether oneDNN has a primitive for this product but computes it wrongly. `b` is null if oneDNN
// chose its layout.
bool onednn_miscomputes(const Factor& a, const Factor* b, const Product& c) {
  // A stored matrix of a single column whose elements are not contiguous may be mistaken for one
  // with a single row. With AVX-512, oneDNN 3.7 does so if c or the matrix that `a` is the
  // transpose of has a single column, whatever the types. It then reads or writes what lies between
  // the elements. Other factors of this form are not left to oneDNN either.
  const auto is_strided_column = [](const Factor& f) {
    return (f.transposed ? f.rows : f.columns) == 1 && f.stride > 1;
  };
  if (is_strided_column(a) || (b && is_strided_column(*b)) || (c.columns == 1 && c.stride > 1))
    return true;
  // With AMX, oneDNN before 3.7.3 assumes that the rows of `a` are contiguous if the depth is not a
  // multiple of a tile's depth (release notes of 3.7.3).
  constexpr int64_t kTileDepth = 32;
  return cpu_features().amx && a.type == ElementType::bf16 && !a.transposed &&
         a.stride != a.columns && a.columns % kTileDepth != 0;
}

template <class T>
void activate_in_place_as(Activation activation, const Product& c) {
  const Matrix<T> m(static_cast<T*>(c.data), c.rows, c.columns, c.stride);
  activate<T>(activation, m, m);
}
void activate_in_place(Activation activation, const Product& c) {
  if (c.type == ElementType::f32)
    activate_in_place_as<float>(activation, c);
  else
    activate_in_place_as<bfloat16>(activation, c);
}

template <class X, class Y>
void multiply_by_panels_as(const Factor& a, const PanelWeights& panels, const Product& c,
                           const Epilogue& epilogue, Scratch& scratch) {
  multiply_panels<X, Y>({static_cast<const X*>(a.data), a.rows, a.columns, a.stride}, panels,
                        {static_cast<Y*>(c.data), c.rows, c.columns, c.stride}, epilogue, scratch);
}

void multiply_by_panels(const Factor& a, const PanelWeights& panels, const Product& c,
                        const Epilogue& epilogue, Scratch& scratch) {
  check_shapes(a, panels.in(), panels.out(), c);
  if (a.transposed) throw std::logic_error("product of a transpose and weights in panels");
  if (a.type == ElementType::f32 && c.type == ElementType::bf16)
    throw std::logic_error("product of floats and weights in panels, into bfloat16");
  if (a.type == ElementType::f32)
    multiply_by_panels_as<float, float>(a, panels, c, epilogue, scratch);
  else if (c.type == ElementType::f32)
    multiply_by_panels_as<bfloat16, float>(a, panels, c, epilogue, scratch);
  else
    multiply_by_panels_as<bfloat16, bfloat16>(a, panels, c, epilogue, scratch);
}

// Whether our own kernels compute this product faster than oneDNN.
bool is_transposed_product(const Factor& a, const Factor& b, const Product& c) {
  return a.transposed && !b.transposed && a.type == ElementType::bf16 && b.type == a.type &&
         c.type == ElementType::f32 && kernels().multiply_transposed;
}

void multiply_transposed(const Factor& a, const Factor& b, const Product& c, bool accumulate,
                         Scratch& scratch) {
  check_shapes(a, b.rows, b.columns, c);
  const auto stored = [](const Factor& f, int64_t rows, int64_t columns) {
    return Matrix<const bfloat16>(static_cast<const bfloat16*>(f.data), rows, columns, f.stride);
  };
  kernels().multiply_transposed(
      stored(a, a.columns, a.rows), stored(b, b.rows, b.columns),
      Matrix<float>(static_cast<float*>(c.data), c.rows, c.columns, c.stride), accumulate, scratch);
}

}  // namespace

// ---- Packed weights

// Either a view of a plain matrix, or an owned copy: plain (`plain_copy`), in oneDNN's own layout
// (`memory`), or in panels.
struct PackedWeights::Packed {
  Factor factor;  // [in, out]
  Buffer<float> plain_copy;
  dnnl::memory memory;
  std::optional<PanelWeights> panels;

  template <class Work>
  void attempt_packing(const Work& work) const {
    const auto describe = [&] {
      return fmt::format("packing weights [{}, {}] of {}", out(), in(), name(factor.type));
    };
    attempt(describe, work);
  }
  int64_t out() const { return factor.columns; }
  int64_t in() const { return factor.rows; }
};

PackedWeights PackedWeights::view(const Factor& weights) {
  PackedWeights view;
  view.packed_ = std::make_shared<Packed>();
  view.packed_->factor = weights;
  return view;
}

PackedWeights::PackedWeights(PanelWeights panels) : packed_(std::make_shared<Packed>()) {
  packed_->factor = {nullptr, ElementType::f32, panels.in(), panels.out(), 0, false};
  packed_->panels = std::move(panels);
}

PackedWeights::PackedWeights(const Factor& weights, ElementType type,
                             std::shared_ptr<PanelMemory> memory)
    : packed_(std::make_shared<Packed>()) {
  const int64_t in = weights.rows;
  const int64_t out = weights.columns;
  packed_->factor = {nullptr, type, in, out, in, true};
  if (type == ElementType::bf16) {
    packed_->panels = PanelWeights::pack<bfloat16>(stored_weights(weights), std::move(memory));
    return;
  }

  // The layout depends on the other two sizes, so it is chosen for a number of rows that is typical
  // of the model's products.
  constexpr int64_t kTypicalRows = 128;
  using Element = dnnl::memory::data_type;
  using Tag = dnnl::memory::format_tag;
  packed_->attempt_packing([&] {
    const Desc layout =
        weights_layout(Desc({kTypicalRows, in}, Element::f32, Tag::ab), Element::f32, in, out,
                       Desc({kTypicalRows, out}, Element::f32, Tag::ab));
    const Desc as_stored({in, out}, Element::f32, Tag::ba);
    if (layout == as_stored) {
      packed_->plain_copy = Buffer<float>(static_cast<size_t>(out * in));
      packed_->factor.data = packed_->plain_copy.data();
    } else {
      packed_->memory = dnnl::memory(layout, cpu_engine());
    }
  });
  repack(weights);
}

void PackedWeights::repack(const Factor& weights) {
  Packed& packed = *packed_;
  if (weights.type != ElementType::f32 || weights.rows != in() || weights.columns != out())
    throw std::logic_error("packing weights of another shape or type");
  if (packed.panels) return packed.panels->repack(stored_weights(weights));
  if (!packed.plain_copy.empty()) return copy_transposed(weights, packed.plain_copy.data());
  if (packed.memory)
    packed.attempt_packing([&] {
      dnnl::memory source(describe(weights), cpu_engine(), const_cast<void*>(weights.data));
      reorder(source, packed.memory);
    });
}

int64_t PackedWeights::out() const { return packed_->out(); }
int64_t PackedWeights::in() const { return packed_->in(); }
const PanelWeights* PackedWeights::panels() const {
  return packed_->panels ? &*packed_->panels : nullptr;
}

// ---- Products

struct Multiplier::State {
  struct Entry {
    dnnl::matmul primitive;  // empty if oneDNN has no such primitive or computes it wrongly
    dnnl::memory a, b, c, bias;
    std::unordered_map<int, dnnl::memory> arguments;
  };

  // All matrices are float or of types that the processor multiplies natively; a and b have the
  // same type. If b is packed, `packed` is its memory.
  void run(const Factor& a, const Factor& b, const dnnl::memory* packed, const Product& c,
           bool accumulate, const float* bias) {
    const Key key{a.rows,
                  c.columns,
                  a.columns,
                  a.stride,
                  packed ? 0 : b.stride,
                  c.stride,
                  a.type,
                  c.type,
                  a.transposed,
                  packed ? false : b.transposed,
                  packed != nullptr,
                  accumulate,
                  bias != nullptr};
    auto found = entries.find(key);
    if (found == entries.end()) found = entries.emplace(key, make(a, b, packed, c, key)).first;
    Entry& entry = found->second;
    if (!entry.primitive) {
      const bool floats = a.type == ElementType::f32 && c.type == ElementType::f32;
      return floats ? run_by_panels(a, b, packed, c, accumulate, bias)
                    : run_in_float(a, b, packed, c, accumulate, bias);
    }
    entry.a.set_data_handle(const_cast<void*>(a.data));
    entry.c.set_data_handle(c.data);
    if (packed)
      entry.arguments[DNNL_ARG_WEIGHTS] = *packed;
    else
      entry.b.set_data_handle(const_cast<void*>(b.data));
    if (bias) entry.bias.set_data_handle(const_cast<float*>(bias));
    entry.primitive.execute(stream, entry.arguments);
  }

  Entry make(const Factor& a, const Factor& b, const dnnl::memory* packed, const Product& c,
             const Key& key) {
    const Desc a_desc = describe(a);
    const Desc b_desc = packed ? packed->get_desc() : describe(b);
    const Desc c_desc({c.rows, c.columns}, data_type(c.type), dnnl::memory::dims{c.stride, 1});
    const Desc bias_desc({1, c.columns}, dnnl::memory::data_type::f32,
                         dnnl::memory::dims{c.columns, 1});
    Entry entry;
    if (onednn_miscomputes(a, packed ? nullptr : &b, c)) return entry;
    const auto matmul =
        find_matmul(a_desc, b_desc, c_desc, key.bias ? &bias_desc : nullptr, key.accumulate);
    if (!matmul) return entry;
    entry.primitive = dnnl::matmul(*matmul);
    entry.a = dnnl::memory(a_desc, cpu_engine(), nullptr);
    entry.c = dnnl::memory(c_desc, cpu_engine(), nullptr);
    entry.arguments = {{DNNL_ARG_SRC, entry.a}, {DNNL_ARG_DST, entry.c}};
    if (!packed) {
      entry.b = dnnl::memory(b_desc, cpu_engine(), nullptr);
      entry.arguments[DNNL_ARG_WEIGHTS] = entry.b;
    }
    if (key.bias) {
      entry.bias = dnnl::memory(bias_desc, cpu_engine(), nullptr);
      entry.arguments[DNNL_ARG_BIAS] = entry.bias;
    }
    return entry;
  }

  static float* reserve(Buffer<float>& scratch, int64_t count) {
    const auto size = static_cast<size_t>(count);
    if (scratch.size() < size) scratch = Buffer<float>(size);
    return scratch.data();
  }

  // The factor in float: itself if it is float, or else a copy in `scratch`.
  static Factor in_float(const Factor& f, Buffer<float>& scratch) {
    if (f.type == ElementType::f32) return f;
    to_float_matrix(f, reserve(scratch, f.rows * f.columns));
    return {scratch.data(), ElementType::f32, f.rows, f.columns, f.transposed ? f.rows : f.columns,
            f.transposed};
  }

  // Packed weights as a plain matrix of floats, in b_scratch.
  Factor unpacked(const Factor& b, const dnnl::memory& packed) {
    const Factor plain{
        reserve(b_scratch, b.rows * b.columns), ElementType::f32, b.rows, b.columns, b.rows, true};
    dnnl::memory from = packed;
    dnnl::memory to(describe(plain), cpu_engine(), b_scratch.data());
    reorder(from, to);
    return plain;
  }

  // Computes the product with our own kernels, all in float.
  void run_by_panels(const Factor& a, const Factor& b, const dnnl::memory* packed, const Product& c,
                     bool accumulate, const float* bias) {
    Factor rows = a;
    if (a.transposed) {
      float* to = reserve(rows_scratch, a.rows * a.columns);
      copy_transposed({a.data, a.type, a.columns, a.rows, a.stride, false}, to);
      rows = {to, a.type, a.rows, a.columns, a.columns, false};
    }
    const StoredWeights weights = stored_weights(packed ? unpacked(b, *packed) : b);
    multiply_by_panels(rows, PanelWeights::pack<float>(weights), c, {accumulate, bias},
                       panel_scratch);
  }

  // Computes a product of types that oneDNN does not multiply, or not as fast, in float.
  void run_in_float(const Factor& a, const Factor& b, const dnnl::memory* packed, const Product& c,
                    bool accumulate, const float* bias) {
    const Factor a32 = in_float(a, a_scratch);
    Factor b32 = b;
    if (!packed) {
      b32 = in_float(b, b_scratch);
    } else if (b.type != ElementType::f32) {
      b32 = unpacked(b, *packed);
      packed = nullptr;
    }
    if (c.type == ElementType::f32) return run(a32, b32, packed, c, accumulate, bias);
    const Matrix<float> c32(reserve(c_scratch, c.rows * c.columns), c.rows, c.columns);
    const Matrix<bfloat16> out(static_cast<bfloat16*>(c.data), c.rows, c.columns, c.stride);
    if (accumulate) convert<bfloat16, float>(out, c32);
    run(a32, b32, packed, Product(c32), accumulate, bias);
    convert<float, bfloat16>(c32, out);
  }

  void check_and_run(const Factor& a, const Factor& b, const dnnl::memory* packed, const Product& c,
                     bool accumulate, const float* bias) {
    check_shapes(a, b.rows, b.columns, c);
    if (c.rows == 0 || c.columns == 0) return;
    if (a.columns == 0) {  // oneDNN 2.6 divides by this depth, and 3.7 leaves c unchanged
      const Buffer<float> zeros(static_cast<size_t>(std::max(c.rows, c.columns)));
      return check_and_run(plain(Matrix<const float>(zeros.data(), c.rows, 1)),
                           plain(Matrix<const float>(zeros.data(), 1, c.columns)), nullptr, c,
                           accumulate, bias);
    }
    const bool bf16 = a.type == ElementType::bf16 || c.type == ElementType::bf16;
    const bool in_float = a.type != b.type || (bf16 && !multiplies_bf16_faster());
    attempt([&] { return description(a, b, c); },
            [&] {
              if (in_float)
                run_in_float(a, b, packed, c, accumulate, bias);
              else
                run(a, b, packed, c, accumulate, bias);
            });
  }

  dnnl::stream stream{cpu_engine()};
  std::unordered_map<Key, Entry, KeyHash> entries;
  Buffer<float> a_scratch, b_scratch, c_scratch, rows_scratch;
  Scratch panel_scratch;
};

Multiplier::Multiplier() : state_(std::make_unique<State>()) {}
Multiplier::~Multiplier() = default;
Multiplier::Multiplier(Multiplier&&) noexcept = default;
Multiplier& Multiplier::operator=(Multiplier&&) noexcept = default;

void Multiplier::multiply(const Factor& a, const Factor& b, const Product& c, bool accumulate) {
  if (is_transposed_product(a, b, c))
    return multiply_transposed(a, b, c, accumulate, state_->panel_scratch);
  state_->check_and_run(a, b, nullptr, c, accumulate, nullptr);
}

void Multiplier::multiply(const Factor& a, const PackedWeights& weights, const Product& c,
                          const Epilogue& epilogue) {
  const PackedWeights::Packed& packed = *weights.packed_;
  if (packed.panels)
    return multiply_by_panels(a, *packed.panels, c, epilogue, state_->panel_scratch);
  const bool plain = packed.factor.data != nullptr;
  state_->check_and_run(a, packed.factor, plain ? nullptr : &packed.memory, c, epilogue.accumulate,
                        epilogue.bias);
  if (epilogue.activation) activate_in_place(*epilogue.activation, c);
}

// ---- oneDNN's own

struct OneDnnProduct::State {
  dnnl::matmul primitive;
  std::unordered_map<int, dnnl::memory> arguments;
  dnnl::stream stream{cpu_engine()};

  State(Type type, int64_t rows, int64_t out, int64_t in);
};

OneDnnProduct::State::State(Type type, int64_t rows, int64_t out, int64_t in) {
  using Element = dnnl::memory::data_type;
  const Element element = type == Type::f32    ? Element::f32
                          : type == Type::bf16 ? Element::bf16
                                               : Element::s8;
  const auto plain = [](int64_t m, int64_t n, Element of) {
    return Desc({m, n}, of, dnnl::memory::format_tag::ab);
  };
  // Without AMX, the instructions multiply unsigned bytes by signed bytes.
  const Desc a = plain(rows, in, type == Type::int8 ? Element::u8 : element);
  const Desc c = plain(rows, out, element);
  const Desc b = weights_layout(a, element, in, out, c);
  primitive = dnnl::matmul(make_matmul(a, b, c, nullptr, false));

  // Small integers, which all types represent exactly.
  const auto operand = [&](const Desc& desc, int64_t m, int64_t n) {
    Buffer<float> values(static_cast<size_t>(m * n));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7);
    dnnl::memory source(plain(m, n, Element::f32), cpu_engine(), values.data());
    dnnl::memory memory(desc, cpu_engine());
    reorder(source, memory);
    return memory;
  };
  arguments = {{DNNL_ARG_SRC, operand(a, rows, in)},
               {DNNL_ARG_WEIGHTS, operand(b, in, out)},
               {DNNL_ARG_DST, dnnl::memory(c, cpu_engine())}};
}

OneDnnProduct::OneDnnProduct(Type type, int64_t rows, int64_t out, int64_t in) {
  const auto describe = [&] {
    const char* name = type == Type::f32 ? "f32" : type == Type::bf16 ? "bf16" : "int8";
    return fmt::format("the product of [{}, {}] and [{}, {}] of {}", rows, in, in, out, name);
  };
  attempt(describe, [&] { state_ = std::make_unique<State>(type, rows, out, in); });
}

OneDnnProduct::~OneDnnProduct() = default;
OneDnnProduct::OneDnnProduct(OneDnnProduct&&) noexcept = default;
OneDnnProduct& OneDnnProduct::operator=(OneDnnProduct&&) noexcept = default;

void OneDnnProduct::make() {
  const OnThisThread alone;
  state_->primitive.execute(state_->stream, state_->arguments);
}

}  // namespace combiner

#include "model/layers/attention.h"

#include <algorithm>

#include "base/for_each_band.h"
#include "base/round_up.h"
#include "kernels/rows.h"

namespace combiner {

AttentionParameters::AttentionParameters(ParameterLayout& layout, const ModelConfig& config,
                                         Attention variant, const std::string& scope)
    : norm(layout, scope + ".norm1", config.embed_dim) {
  const int64_t dim = config.embed_dim;
  const std::string own = scope + ".attention";
  size_t offsets[3];
  for (int i = 0; const char* name : {".query", ".key", ".value"})
    offsets[i++] = layout.add(own + name + ".weight", {dim, dim}, ParameterKind::matrix, true);
  query_key_value = DenseParameters(layout, offsets[0], 3 * dim, dim);
  output = DenseParameters::square(layout, own + ".output", dim);
  if (!has_summaries(variant)) return;
  const DenseParameters summary_output =
      DenseParameters::square(layout, own + ".summary_output", dim);
  const NormParameters summary_norm(layout, own + ".summary_norm", dim);
  summary = {summary_output, summary_norm,
             DenseParameters::square(layout, own + ".summary_key", dim)};
}

AttentionWeights::AttentionWeights(Attention variant_, const AttentionShape& shape_,
                                   const AttentionParameters& parameters,
                                   const PackedParameters& packed)
    : variant(variant_),
      shape(shape_),
      norm(packed.norm(parameters.norm)),
      query_key_value(packed.dense(parameters.query_key_value)),
      output(packed.dense(parameters.output)) {
  if (shape.rotary_base) rotary = std::make_shared<const Rotary>(shape, *shape.rotary_base);
  if (parameters.summary)
    summary = {packed.dense(parameters.summary->output), packed.dense(parameters.summary->key),
               packed.norm(parameters.summary->norm), rotary};
}

// ---- Forward

template <class T>
void attention_project(const ModelConfig& config, const AttentionWeights& weights,
                       Matrix<const float> x, int64_t first, AttentionActivations<T>& act,
                       Worker& worker) {
  const Matrix<T> norm =
      norm_forward<T>(worker, x, weights.norm, config.norm_epsilon, first, act.norm);
  const Matrix<T> query_key_value = act.query_key_value.view().row_block(first, x.rows);
  if (!weights.rotary) return dense(worker, norm, weights.query_key_value, query_key_value);

  // Rotated before rounding, because rounding twice loses more.
  const Matrix<float> unrotated = Rotary::before_rounding(query_key_value, act.unrotated);
  dense(worker, norm, weights.query_key_value, unrotated);
  worker.share.parallel_for(x.rows, [&](int64_t at, int64_t rows) {
    const auto part = [&](auto m, int64_t i) {
      return m.row_block(at, rows).column_block(i * x.columns, x.columns);
    };
    const auto positions = std::span(act.positions).subspan(static_cast<size_t>(first + at));
    for (const int64_t i : {0, 1})
      weights.rotary->rotate<float, T>(part(unrotated, i), positions, Rotation::forward,
                                       part(query_key_value, i));
    if constexpr (!std::is_same_v<T, float>)
      convert<float, T>(part(unrotated, 2), part(query_key_value, 2));
  });
}

template <class T>
void attention_attend(const AttentionWeights& weights, Matrix<float> out, T* state,
                      AttentionActivations<T>& act, PartsActivations<T>& parts, Worker& worker,
                      Pass pass) {
  attend_image<T>(weights.variant, weights.shape, act.input(0, out.rows), &weights.summary, out,
                  act.attended.view(), act.lse.view(), state, parts, worker,
                  pass == Pass::forward_backward ? OutputUse::backward : OutputUse::forward_only);
}

template <class T>
void attention_output(const AttentionWeights& weights, Matrix<const float> x, int64_t first,
                      Matrix<float> out, AttentionActivations<T>& act, Worker& worker) {
  add_residual<T>(worker, x, act.attended.view().row_block(first, x.rows), weights.output, out);
}

// ---- Step

template <class T>
void attention_step(const AttentionWeights& weights, std::span<const StepImage<T>> images,
                    Matrix<float> out, AttentionActivations<T>& act,
                    AttentionStepScratch<T>& scratch, Worker& team_worker, Worker& own_worker) {
  const AttentionShape& shape = weights.shape;
  const auto n = static_cast<int64_t>(images.size());
  team_worker.share.parallel_for(n * shape.heads, [&](int64_t first, int64_t number) {
    const int64_t first_image = first / shape.heads;
    const int64_t end_image = ceil_div(first + number, int64_t{shape.heads});
    // The heads of `image` among the `number` heads from `first` on, counted over all images.
    const auto heads_of = [&](int64_t image) -> HeadRange {
      const int64_t head = std::max<int64_t>(first - image * shape.heads, 0);
      return {head, std::min(first + number - image * shape.heads, shape.heads) - head};
    };
    const auto columns_of = [&](int64_t image, auto matrix) {
      const HeadRange heads = heads_of(image);
      return matrix.row_block(image, 1).column_block(heads.first * shape.head_dim(),
                                                     heads.number * shape.head_dim());
    };
    const auto spans_of = [&](int64_t image) -> KvSpans<T>& {
      return scratch.spans[static_cast<size_t>(image - first_image)];
    };
    for (int64_t i = first_image; i < end_image; ++i) {
      const auto [position, state] = images[static_cast<size_t>(i)];
      prefetch_kv<T>(weights.variant, shape, position, heads_of(i), state);
    }
    for (int64_t i = first_image; i < end_image; ++i) {
      const auto [position, state] = images[static_cast<size_t>(i)];
      append_kv<T>(weights.variant, shape, position, heads_of(i), act.input(i, 1), state,
                   spans_of(i), own_worker);
    }
    scratch.positions.clear();
    for (int64_t i = first_image; i < end_image; ++i)
      scratch.positions.push_back({columns_of(i, act.query_key_value.view()).data,
                                   heads_of(i).number, spans_of(i).span(), spans_of(i).int8(),
                                   columns_of(i, out).data});
    attend_spans<T>(scratch.positions, shape.head_dim(), shape.scale(), own_worker.scratch);
    for (int64_t i = first_image; i < end_image; ++i)
      convert<float, T>(columns_of(i, out), columns_of(i, act.attended.view()));
  });
}

// ---- Backward

template <class T>
void attention_output_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, int64_t first, int64_t n,
                               AttentionActivations<T>& act, ResidualGradient<T>& d,
                               AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                               Worker& worker) {
  const auto band = [&](auto m) { return m.row_block(first, n); };
  const Matrix<const T> d_out = d.as_product_input(band(d.x.view()));
  dense_backward_weight<const T>(worker, d_out, band(act.attended.view()), parameters.output,
                                 gradient, gradient.accumulate_matrices || first > 0);
  dense_backward_input(worker, d_out, weights.output, band(scratch.d_attended.view()));
  head_products<T>(band(scratch.d_attended.view()), band(act.attended.view()),
                   weights.shape.head_dim(), band(scratch.delta.view()));
}

template <class T>
void attention_attend_backward(const AttentionParameters& parameters,
                               const AttentionWeights& weights, T* state,
                               AttentionActivations<T>& act, PartsActivations<T>& parts,
                               ResidualGradient<T>& d, AttentionScratch<T>& scratch,
                               const GradientBuffer& gradient, Worker& worker) {
  const int64_t dim = weights.shape.dim;
  const auto third = [&](auto m, int64_t i) { return m.column_block(i * dim, dim); };
  const Matrix<T> d_query_key_value = scratch.d_query_key_value.view();
  const Matrix<float> sums = scratch.sums.view();
  SummaryGradient summary;
  if (parameters.summary) {
    const auto [output, norm, key] = *parameters.summary;
    summary = {Matrix<float>(gradient.values + output.weight, dim, dim),
               Matrix<float>(gradient.values + key.weight, dim, dim), gradient.values + norm.weight,
               gradient.values + norm.bias};
    if (!gradient.accumulate_matrices) {
      clear(summary.output);
      clear(summary.key);
    }
  }
  const AttentionGradients<T> gradients{scratch.d_attended.view(),
                                        act.lse.view(),
                                        scratch.delta.view(),
                                        third(d_query_key_value, 0),
                                        third(d_query_key_value, 1),
                                        third(d_query_key_value, 2),
                                        d.norm.view(),
                                        &weights.summary,
                                        summary,
                                        third(sums, 0),
                                        third(sums, 1),
                                        third(sums, 2)};
  attend_backward<T>(weights.variant, weights.shape, act.input(0, weights.shape.positions()),
                     gradients, state, parts, scratch.parts, worker);
}

template <class T>
void attention_project_backward(const AttentionParameters& parameters,
                                const AttentionWeights& weights, Matrix<float> x, int64_t first,
                                int64_t n, AttentionActivations<T>& act, ResidualGradient<T>& d,
                                AttentionScratch<T>& scratch, const GradientBuffer& gradient,
                                Worker& worker) {
  const Matrix<T> d_query_key_value = scratch.d_query_key_value.view().row_block(first, n);
  if (weights.rotary)
    for (const int64_t i : {0, 1}) {
      const Matrix<T> part = d_query_key_value.column_block(i * x.columns, x.columns);
      weights.rotary->rotate<T, T>(part, first, Rotation::back, part);
    }
  dense_backward_weight<T>(worker, d_query_key_value, act.norm.out.view().row_block(first, n),
                           parameters.query_key_value, gradient,
                           gradient.accumulate_matrices || first > 0);
  for_each_band(n, kPositionsAtOnce, [&](int64_t at, int64_t count) {
    const auto band = [&](auto m) { return m.row_block(first + at, count); };
    dense_backward_input(worker, d_query_key_value.row_block(at, count), weights.query_key_value,
                         band(d.norm.view()), parameters.summary.has_value());
    norm_backward<T>(band(x), weights.norm, first + at, act.norm, band(d.norm.view()),
                     band(d.x.view()), parameters.norm, gradient);
  });
}

#define COMBINER_INSTANTIATE(T)                                                                    \
  template void attention_project(const ModelConfig&, const AttentionWeights&,                     \
                                  Matrix<const float>, int64_t, AttentionActivations<T>&,          \
                                  Worker&);                                                        \
  template void attention_attend(const AttentionWeights&, Matrix<float>, T*,                       \
                                 AttentionActivations<T>&, PartsActivations<T>&, Worker&, Pass);   \
  template void attention_output(const AttentionWeights&, Matrix<const float>, int64_t,            \
                                 Matrix<float>, AttentionActivations<T>&, Worker&);                \
  template void attention_step(const AttentionWeights&, std::span<const StepImage<T>>,             \
                               Matrix<float>, AttentionActivations<T>&, AttentionStepScratch<T>&,  \
                               Worker&, Worker&);                                                  \
  template void attention_output_backward(const AttentionParameters&, const AttentionWeights&,     \
                                          int64_t, int64_t, AttentionActivations<T>&,              \
                                          ResidualGradient<T>&, AttentionScratch<T>&,              \
                                          const GradientBuffer&, Worker&);                         \
  template void attention_attend_backward(const AttentionParameters&, const AttentionWeights&, T*, \
                                          AttentionActivations<T>&, PartsActivations<T>&,          \
                                          ResidualGradient<T>&, AttentionScratch<T>&,              \
                                          const GradientBuffer&, Worker&);                         \
  template void attention_project_backward(const AttentionParameters&, const AttentionWeights&,    \
                                           Matrix<float>, int64_t, int64_t,                        \
                                           AttentionActivations<T>&, ResidualGradient<T>&,         \
                                           AttentionScratch<T>&, const GradientBuffer&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

#include "model/layers/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/rows.h"

namespace combiner {
namespace {

// The most table rows that a position's embedding sums: the token, two contexts of four channels,
// and two positions.
constexpr size_t kMaxRows = 11;

// The row and column of the pixel that a position belongs to.
struct PixelPlace {
  int64_t row, column;
};

PixelPlace place_of(const ModelConfig& config, int64_t position) {
  const int64_t pixel =
      config.tokens == Tokens::pixel ? position : position / config.image.channels;
  return {pixel / config.image.width, pixel % config.image.width};
}

// The value of a channel of the raster-previous pixel or of the pixel above; `outside` if there is
// no such pixel.
int64_t previous_value(const ModelConfig& config, const uint8_t* pixels, PixelPlace at, int channel,
                       int64_t outside) {
  const int64_t pixel = at.row * config.image.width + at.column - 1;
  return pixel < 0 ? outside : pixels[pixel * config.image.channels + channel];
}
int64_t above_value(const ModelConfig& config, const uint8_t* pixels, PixelPlace at, int channel,
                    int64_t outside) {
  if (at.row == 0) return outside;
  const int64_t pixel = (at.row - 1) * config.image.width + at.column;
  return pixels[pixel * config.image.channels + channel];
}

// Calls visit(table, row) for every table row that a position's embedding sums. `tables` is an
// EmbeddingWeights (of pointers) or an EmbeddingParameters (of offsets).
template <class Tables, class Visit>
void for_each_table_row(const ModelConfig& config, const Tables& tables, const uint8_t* pixels,
                        int64_t position, Visit&& visit) {
  if (config.tokens == Tokens::subpixel)
    visit(tables.token, position == 0 ? int64_t{*config.start_token} : pixels[position - 1]);
  const PixelPlace at = place_of(config, position);
  const int64_t outside = config.vocab_size;
  for (size_t c = 0; c < tables.previous.size(); ++c)
    visit(tables.previous[c], previous_value(config, pixels, at, static_cast<int>(c), outside));
  for (size_t c = 0; c < tables.above.size(); ++c)
    visit(tables.above[c], above_value(config, pixels, at, static_cast<int>(c), outside));
  if (config.position == Position::learned) visit(tables.position, position);
  if (config.position == Position::axial) {
    visit(tables.row, position / config.columns());
    visit(tables.column, position % config.columns());
  }
}

template <class T>
T make(float value) {
  if constexpr (std::is_same_v<T, float>)
    return value;
  else
    return to_bfloat16(value);
}

// Fills the window: rows x columns taps for each channel, then as many that are 1 inside the image.
template <class T>
void fill_stem_window(const ModelConfig& config, const uint8_t* pixels, PixelPlace at, T* to) {
  const StemShape stem = *config.stem;
  const int channels = config.image.channels;
  const int64_t taps = int64_t{stem.rows} * stem.columns;
  for (int64_t i = 0; i < (channels + 1) * taps; ++i) to[i] = make<T>(0.0f);
  for (int i = 0; i < stem.rows; ++i) {
    const int64_t row = at.row + i - (stem.rows - 1);
    if (row < 0) continue;
    for (int j = 0; j < stem.columns; ++j) {
      const int64_t column = at.column + j - (stem.columns - 1) / 2;
      if (column < 0 || column >= config.image.width) continue;
      if (row == at.row && column >= at.column) break;
      const uint8_t* pixel = pixels + (row * config.image.width + column) * channels;
      const int64_t tap = int64_t{i} * stem.columns + j;
      for (int c = 0; c < channels; ++c)
        to[c * taps + tap] = make<T>(static_cast<float>(pixel[c]) / 127.5f - 1.0f);
      to[channels * taps + tap] = make<T>(1.0f);
    }
  }
}

Buffer<float> sinusoidal_positions(const ModelConfig& config) {
  if (config.position != Position::sinusoidal) return {};
  const int64_t half = config.embed_dim / 2;
  Buffer<float> table(static_cast<size_t>(int64_t{config.positions()} * config.embed_dim));
  for (int64_t p = 0; p < config.positions(); ++p)
    for (int64_t k = 0; k < half; ++k) {
      const double rate =
          std::exp(static_cast<double>(-k) * std::log(10000.0) / static_cast<double>(half - 1));
      float* row = table.data() + p * config.embed_dim;
      row[k] = static_cast<float>(std::sin(static_cast<double>(p) * rate));
      row[half + k] = static_cast<float>(std::cos(static_cast<double>(p) * rate));
    }
  return table;
}

}  // namespace

EmbeddingParameters::EmbeddingParameters(ParameterLayout& layout, const ModelConfig& config) {
  const int64_t dim = config.embed_dim;
  const int64_t vocab = config.vocab_size;
  constexpr ParameterKind kTable = ParameterKind::value_table;
  if (config.tokens == Tokens::subpixel)
    token = layout.add("embed.token.weight",
                       {std::max<int64_t>(vocab, config.start_token.value_or(0) + 1), dim}, kTable);
  for (int c = 0; config.context.previous && c < config.image.channels; ++c)
    previous.push_back(
        layout.add(fmt::format("embed.previous.{}.weight", c), {vocab + 1, dim}, kTable));
  for (int c = 0; config.context.above && c < config.image.channels; ++c)
    above.push_back(layout.add(fmt::format("embed.above.{}.weight", c), {vocab + 1, dim}, kTable));
  if (config.stem)
    stem = DenseParameters(
        layout,
        layout.add("embed.stem.weight",
                   {dim, config.image.channels + 1, config.stem->rows, config.stem->columns}),
        dim, stem_inputs(config));
  if (config.position == Position::learned)
    position = layout.add("embed.position.weight", {config.positions(), dim});
  if (config.position == Position::axial) {
    row = layout.add("embed.position.row.weight", {config.rows(), dim});
    column = layout.add("embed.position.column.weight", {config.columns(), dim});
  }
}

EmbeddingWeights::EmbeddingWeights(const ModelConfig& config, const EmbeddingParameters& parameters,
                                   const PackedParameters& packed)
    : token(packed.vector(parameters.token)),
      position(packed.vector(parameters.position)),
      row(packed.vector(parameters.row)),
      column(packed.vector(parameters.column)),
      sinusoids(sinusoidal_positions(config)) {
  for (const size_t p : parameters.previous) previous.push_back(packed.vector(p));
  for (const size_t p : parameters.above) above.push_back(packed.vector(p));
  if (config.stem) stem = packed.dense(parameters.stem);
}

int64_t stem_inputs(const ModelConfig& config) {
  if (!config.stem) return 0;
  return int64_t{config.image.channels + 1} * config.stem->rows * config.stem->columns;
}

template <class T>
void embed_position(const ModelConfig& config, const EmbeddingWeights& weights,
                    const ImagePosition& at, float* x, T* stem_in) {
  std::array<const float*, kMaxRows> rows;
  size_t count = 0;
  const int64_t dim = config.embed_dim;
  for_each_table_row(config, weights, at.pixels, at.position,
                     [&](const float* table, int64_t row) { rows[count++] = table + row * dim; });
  if (config.position == Position::sinusoidal)
    rows[count++] = weights.sinusoids.data() + at.position * dim;
  sum_rows({rows.data(), count}, {x, static_cast<size_t>(dim)});
  if (config.stem) fill_stem_window(config, at.pixels, place_of(config, at.position), stem_in);
}

template <class T>
void embedding_backward(const ModelConfig& config, const EmbeddingParameters& parameters,
                        const uint8_t* pixels, EmbeddingActivations<T>& act, ResidualGradient<T>& d,
                        const GradientBuffer& gradient, Worker& worker) {
  const int64_t dim = config.embed_dim;
  const Matrix<float> d_x = d.x.view();
  for (int64_t p = 0; p < d_x.rows; ++p)
    for_each_table_row(config, parameters, pixels, p, [&](size_t offset, int64_t row) {
      add_row({d_x.row(p), static_cast<size_t>(dim)},
              gradient.values + offset + static_cast<size_t>(row * dim));
    });
  if (config.stem)
    dense_backward_weight<const T>(worker, d.as_product_input(d_x), act.stem_in.view(),
                                   parameters.stem, gradient);
}

#define COMBINER_INSTANTIATE(T)                                                                    \
  template void embed_position(const ModelConfig&, const EmbeddingWeights&, const ImagePosition&,  \
                               float*, T*);                                                        \
  template void embedding_backward(const ModelConfig&, const EmbeddingParameters&, const uint8_t*, \
                                   EmbeddingActivations<T>&, ResidualGradient<T>&,                 \
                                   const GradientBuffer&, Worker&)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
#undef COMBINER_INSTANTIATE

}  // namespace combiner

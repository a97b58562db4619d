#include "model/embedding.h"

#include <array>
#include <cmath>

#include "kernels/rows.h"

namespace combiner {
namespace {

// Most rows a position's embedding is a sum of: token, two contexts of four channels, two
// positions.
constexpr size_t kMostRows = 11;

// Row indices of the tables that a position reads, as offsets of a parameter or a pointer's rows.
struct PixelPlace {
  int64_t row, column;
};

PixelPlace place_of(const ModelConfig& config, int64_t position) {
  const int64_t pixel =
      config.tokens == Tokens::pixel ? position : position / config.image.channels;
  return {pixel / config.image.width, pixel % config.image.width};
}

// The value of a channel of the raster-previous pixel or the pixel above; `outside` where there is
// none.
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

// Calls visit(table, row) for every table row that a position's embedding sums; `tables` is an
// EmbedWeights (of pointers) or an EmbedParameters (of offsets).
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

// The window: for each channel, and for a last one that is 1 inside the image, rows x columns taps.
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

}  // namespace

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

int64_t stem_inputs(const ModelConfig& config) {
  if (!config.stem) return 0;
  return int64_t{config.image.channels + 1} * config.stem->rows * config.stem->columns;
}

template <class Dense, class T>
void embed_position(const ModelConfig& config, const EmbedWeights<Dense>& weights,
                    const Buffer<float>& positions, const uint8_t* pixels, int64_t position,
                    float* x, T* stem_in) {
  std::array<const float*, kMostRows> rows;
  size_t count = 0;
  const int64_t dim = config.embed_dim;
  for_each_table_row(config, weights, pixels, position,
                     [&](const float* table, int64_t row) { rows[count++] = table + row * dim; });
  if (config.position == Position::sinusoidal) rows[count++] = positions.data() + position * dim;
  sum_rows({rows.data(), count}, {x, static_cast<size_t>(dim)});
  if (config.stem) fill_stem_window(config, pixels, place_of(config, position), stem_in);
}

template void embed_position(const ModelConfig&, const EmbedWeights<PackedWeights>&,
                             const Buffer<float>&, const uint8_t*, int64_t, float*, float*);
template void embed_position(const ModelConfig&, const EmbedWeights<PackedWeights>&,
                             const Buffer<float>&, const uint8_t*, int64_t, float*, bfloat16*);
template void embed_position(const ModelConfig&, const EmbedWeights<PanelWeights>&,
                             const Buffer<float>&, const uint8_t*, int64_t, float*, float*);
template void embed_position(const ModelConfig&, const EmbedWeights<PanelWeights>&,
                             const Buffer<float>&, const uint8_t*, int64_t, float*, bfloat16*);

void embed_backward(const ModelConfig& config, const EmbedParameters& parameters,
                    const uint8_t* pixels, Matrix<const float> d_x, float* gradient) {
  const int64_t dim = config.embed_dim;
  for (int64_t p = 0; p < d_x.rows; ++p)
    for_each_table_row(config, parameters, pixels, p, [&](size_t offset, int64_t row) {
      add_row({d_x.row(p), static_cast<size_t>(dim)},
              gradient + offset + static_cast<size_t>(row * dim));
    });
}

}  // namespace combiner

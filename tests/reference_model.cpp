#include "reference_model.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <numbers>

namespace combiner::reference {
namespace {

using Vector = std::vector<double>;
using Vectors = std::vector<Vector>;  // one vector per position

struct Model {
  const ModelConfig& config;
  const Parameters& parameters;
  const double* values;

  size_t dim() const { return static_cast<size_t>(config.embed_dim); }
  size_t vocab() const { return static_cast<size_t>(config.vocab_size); }
  size_t columns() const { return static_cast<size_t>(config.columns()); }
  size_t positions() const { return static_cast<size_t>(config.positions()); }
};

// ---- Layers

// Adds row `row` of a table [rows, x.size()] to x.
void add_table_row(const Model& m, size_t table, size_t row, Vector& x) {
  for (size_t j = 0; j < x.size(); ++j) x[j] += m.values[table + row * x.size() + j];
}

void add(const Vector& from, Vector& to) {
  for (size_t j = 0; j < to.size(); ++j) to[j] += from[j];
}

// The product of weight [out, x.size()] and x.
Vector dense(const Model& m, size_t weight, size_t out, const Vector& x) {
  Vector y(out, 0.0);
  for (size_t o = 0; o < out; ++o)
    for (size_t i = 0; i < x.size(); ++i) y[o] += m.values[weight + o * x.size() + i] * x[i];
  return y;
}

Vector dense(const Model& m, const DenseParameters& layer, size_t out, const Vector& x) {
  Vector y = dense(m, layer.weight, out, x);
  for (size_t o = 0; o < out; ++o) y[o] += m.values[*layer.bias + o];
  return y;
}

Vector layer_norm(const Model& m, const NormParameters& norm, const Vector& x) {
  const auto count = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (const double value : x) mean += value / count;
  for (const double value : x) variance += (value - mean) * (value - mean) / count;
  Vector y(x.size());
  for (size_t j = 0; j < x.size(); ++j)
    y[j] = (x[j] - mean) / std::sqrt(variance + m.config.norm_epsilon) * m.values[norm.weight + j] +
           m.values[norm.bias + j];
  return y;
}

double log_sum_exp(const Vector& x) {
  const double maximum = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - maximum);
  return maximum + std::log(sum);
}

// ---- Attention

// The keys and values, of all heads, that a position attends to, over all parts.
struct Support {
  std::vector<const Vector*> keys, values;

  void add(const Vector& key, const Vector& value) {
    keys.push_back(&key);
    values.push_back(&value);
  }
};

// The query's attention over its support, with one softmax per head.
Vector attend(const Model& m, const Vector& query, const Support& support) {
  const auto head_dim = static_cast<size_t>(m.config.head_dim());
  Vector out(query.size(), 0.0);
  for (size_t head = 0; head < query.size(); head += head_dim) {
    Vector scores;
    for (const Vector* key : support.keys) {
      double score = 0;
      for (size_t j = head; j < head + head_dim; ++j) score += query[j] * (*key)[j];
      scores.push_back(score / std::sqrt(static_cast<double>(head_dim)));
    }
    const double lse = log_sum_exp(scores);
    for (size_t k = 0; k < scores.size(); ++k)
      for (size_t j = head; j < head + head_dim; ++j)
        out[j] += std::exp(scores[k] - lse) * (*support.values[k])[j];
  }
  return out;
}

// What a position attends to: single positions, and sets of positions.
struct Attends {
  std::vector<size_t> direct;
  std::vector<std::vector<size_t>> sets;
};

// The spans, of powers of two in length, that make up the positions before i.
std::vector<std::vector<size_t>> spans_before(size_t i) {
  std::vector<std::vector<size_t>> spans;
  size_t end = i;
  for (size_t length = 1; end > 0; length *= 2)
    if (end & length) {
      std::vector<size_t>& span = spans.emplace_back();
      for (size_t j = end - length; j < end; ++j) span.push_back(j);
      end -= length;
    }
  return spans;
}

// What position i attends to, without axial_rowmajor's summaries.
Attends attends(Attention variant, size_t i, size_t columns) {
  const size_t row = i / columns;
  const size_t column = i % columns;
  // The positions up to i, in i's row and the rows above, whose row and column satisfy `test`.
  const auto earlier = [&](auto test) {
    std::vector<size_t> found;
    for (size_t j = 0; j <= i; ++j)
      if (test(j / columns, j % columns)) found.push_back(j);
    return found;
  };
  Attends what;
  const auto add_direct = [&](auto test) {
    for (const size_t j : earlier(test)) what.direct.push_back(j);
  };
  const auto add_set = [&](auto test) {
    std::vector<size_t> set = earlier(test);
    if (!set.empty()) what.sets.push_back(std::move(set));
  };
  const auto my_row = [&](size_t r, size_t) { return r == row; };
  const auto my_column = [&](size_t r, size_t c) { return r < row && c == column; };
  const auto add_vertical = [&] {
    for (size_t other = 0; other < columns; ++other)
      if (other != column) add_set([&](size_t r, size_t c) { return r < row && c == other; });
  };
  const auto add_horizontal = [&] {
    for (size_t above = 0; above < row; ++above) {
      add_set([&](size_t r, size_t c) { return r == above && c < column; });
      add_set([&](size_t r, size_t c) { return r == above && c > column; });
    }
  };
  switch (variant) {
    case Attention::axial_rowmajor:
      add_direct(my_row);
      break;
    case Attention::axial_vertical:
      add_direct(my_row);
      add_direct(my_column);
      add_vertical();
      break;
    case Attention::axial_horizontal:
      add_direct(my_row);
      add_direct(my_column);
      add_horizontal();
      break;
    case Attention::axial_mixture:
      add_direct(my_row);
      add_direct(my_column);
      add_vertical();
      add_horizontal();
      break;
    case Attention::axial:
      add_direct(my_row);
      add_direct(my_column);
      break;
    case Attention::fixed:
      add_direct(my_row);
      for (size_t above = 0; above < row; ++above)
        add_set([&](size_t r, size_t) { return r == above; });
      break;
    case Attention::fixed_sparse:
      add_direct(my_row);
      add_direct([&](size_t r, size_t c) { return r < row && c == columns - 1; });
      break;
    case Attention::logsparse:
      what.direct = {i};
      what.sets = spans_before(i);
      break;
    case Attention::logsparse_sparse:
      what.direct = {i};
      for (const std::vector<size_t>& span : spans_before(i)) what.direct.push_back(span.back());
      break;
    case Attention::full:
      add_direct([](size_t, size_t) { return true; });
      break;
  }
  return what;
}

// The elementwise maximum over the positions in a set.
Vector maximum(const Vectors& x, const std::vector<size_t>& set) {
  Vector result = x[set.front()];
  for (const size_t i : set)
    for (size_t j = 0; j < result.size(); ++j) result[j] = std::max(result[j], x[i][j]);
  return result;
}

// Rotates the query or key of a position if the model has rotary positions.
void turn(const Model& m, size_t position, Vector& x) {
  if (!m.config.rotary) return;
  const auto head_dim = static_cast<size_t>(m.config.head_dim());
  const size_t half = head_dim / 2;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t pair = i % head_dim;
    if (pair >= half) continue;
    const size_t place = pair < half / 2 ? position / m.columns() : position % m.columns();
    const double exponent = -4.0 * static_cast<double>(pair % (half / 2));
    const double rate = std::pow(m.config.rotary->base, exponent / static_cast<double>(head_dim));
    const double angle = static_cast<double>(place) * rate;
    const std::complex<double> turned = std::complex(x[i], x[i + half]) * std::polar(1.0, angle);
    x[i] = turned.real();
    x[i + half] = turned.imag();
  }
}

// The attention output of each position in one block; `in` is the normalised block input.
Vectors attention(const Model& m, Attention variant, const AttentionParameters& layer,
                  const Vectors& in) {
  const size_t dim = m.dim();
  const size_t columns = m.columns();
  Vectors query, key, value;
  for (const Vector& a : in) {
    size_t weight = layer.query_key_value.weight;
    for (Vectors* of : {&query, &key, &value}) {
      of->push_back(dense(m, weight, dim, a));
      weight += dim * dim;
    }
  }

  for (size_t i = 0; i < in.size(); ++i)
    for (Vector* turned : {&query[i], &key[i]}) turn(m, i, *turned);

  // The summary of a position covers its whole row. Later rows see it at its column.
  Vectors summary_key(in.size()), summary_value(in.size());
  if (variant == Attention::axial_rowmajor)
    for (size_t i = 0; i < in.size(); ++i) {
      Support row;
      for (size_t j = i / columns * columns; j < (i / columns + 1) * columns; ++j)
        row.add(key[j], value[j]);
      summary_value[i] = attend(m, query[i], row);
      Vector sum = dense(m, layer.summary->output.weight, dim, summary_value[i]);
      add(in[i], sum);
      summary_key[i] =
          dense(m, layer.summary->key.weight, dim, layer_norm(m, layer.summary->norm, sum));
      turn(m, i, summary_key[i]);
    }

  // The keys and values of abstractions; each is made once.
  std::map<std::vector<size_t>, std::pair<Vector, Vector>> abstractions;
  const auto abstraction = [&](const std::vector<size_t>& set) -> const auto& {
    auto [found, is_new] = abstractions.try_emplace(set);
    if (is_new) {
      Support members;
      for (const size_t j : set) members.add(key[j], value[j]);
      found->second = {maximum(key, set), attend(m, maximum(query, set), members)};
    }
    return found->second;
  };

  Vectors out;
  for (size_t i = 0; i < in.size(); ++i) {
    const Attends what = attends(variant, i, columns);
    Support support;
    for (const size_t j : what.direct) support.add(key[j], value[j]);
    for (const std::vector<size_t>& set : what.sets) {
      const auto& [set_key, set_value] = abstraction(set);
      support.add(set_key, set_value);
    }
    if (variant == Attention::axial_rowmajor)
      for (size_t j = i % columns; j < i / columns * columns; j += columns)
        support.add(summary_key[j], summary_value[j]);
    out.push_back(dense(m, layer.output.weight, dim, attend(m, query[i], support)));
  }
  return out;
}

// ---- From pixels to logits

// Adds what a position sees of earlier pixels through the tables of neighbours and the stem.
void add_neighbours(const Model& m, const uint8_t* pixels, size_t pixel, Vector& x) {
  const EmbeddingParameters& embed = m.parameters.embedding;
  const auto channels = static_cast<size_t>(m.config.image.channels);
  const auto width = static_cast<size_t>(m.config.image.width);
  const size_t outside = m.vocab();
  for (size_t c = 0; c < embed.previous.size(); ++c)
    add_table_row(m, embed.previous[c], pixel >= 1 ? pixels[(pixel - 1) * channels + c] : outside,
                  x);
  for (size_t c = 0; c < embed.above.size(); ++c)
    add_table_row(m, embed.above[c],
                  pixel >= width ? pixels[(pixel - width) * channels + c] : outside, x);
  if (!m.config.stem) return;

  const auto [rows, columns] = *m.config.stem;
  const int row = static_cast<int>(pixel / width);
  const int column = static_cast<int>(pixel % width);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const int r = row + i - (rows - 1);
      const int c = column + j - columns / 2;
      const bool inside = r >= 0 && c >= 0 && c < m.config.image.width;
      const bool earlier = r < row || c < column;
      if (!inside || !earlier) continue;
      for (size_t channel = 0; channel <= channels; ++channel) {
        const size_t byte = static_cast<size_t>(r * m.config.image.width + c) * channels + channel;
        const double in = channel < channels ? pixels[byte] / 127.5 - 1.0 : 1.0;
        for (size_t d = 0; d < x.size(); ++d) {
          const size_t plane = d * (channels + 1) + channel;
          const size_t tap =
              plane * static_cast<size_t>(rows * columns) + static_cast<size_t>(i * columns + j);
          x[d] += m.values[embed.stem.weight + tap] * in;
        }
      }
    }
}

void add_position(const Model& m, size_t position, Vector& x) {
  const EmbeddingParameters& embed = m.parameters.embedding;
  if (m.config.position == Position::learned) add_table_row(m, embed.position, position, x);
  if (m.config.position == Position::axial) {
    add_table_row(m, embed.row, position / m.columns(), x);
    add_table_row(m, embed.column, position % m.columns(), x);
  }
  if (m.config.position != Position::sinusoidal) return;
  const size_t half = x.size() / 2;
  for (size_t k = 0; k < half; ++k) {
    const double rate = std::pow(10000.0, -static_cast<double>(k) / static_cast<double>(half - 1));
    x[k] += std::sin(static_cast<double>(position) * rate);
    x[half + k] += std::cos(static_cast<double>(position) * rate);
  }
}

Vectors embedding(const Model& m, const uint8_t* pixels) {
  Vectors x;
  for (size_t i = 0; i < m.positions(); ++i) {
    Vector& xi = x.emplace_back(m.dim(), 0.0);
    if (m.config.tokens == Tokens::subpixel)
      add_table_row(m, m.parameters.embedding.token,
                    i > 0 ? pixels[i - 1] : static_cast<size_t>(*m.config.start_token), xi);
    const auto per_pixel =
        static_cast<size_t>(m.config.tokens == Tokens::subpixel ? m.config.image.channels : 1);
    add_neighbours(m, pixels, i / per_pixel, xi);
    add_position(m, i, xi);
  }
  return x;
}

void add_block(const Model& m, size_t layer, Vectors& x) {
  const BlockParameters& block = m.parameters.blocks[layer];
  Vectors in;
  for (const Vector& xi : x) in.push_back(layer_norm(m, block.attention.norm, xi));
  const Vectors attended = attention(m, m.config.attention[layer], block.attention, in);
  for (size_t i = 0; i < x.size(); ++i) {
    add(attended[i], x[i]);
    Vector hidden = dense(m, block.mlp.up, static_cast<size_t>(m.config.mlp_dim),
                          layer_norm(m, block.mlp.norm, x[i]));
    for (double& value : hidden)
      value = m.config.activation == Activation::gelu ? gelu(value) : std::max(value, 0.0);
    add(dense(m, block.mlp.down, m.dim(), hidden), x[i]);
  }
}

// The logits of a position's bytes, given the output of the last block.
Vectors head(const Model& m, const uint8_t* pixels, size_t position, const Vector& x) {
  const HeadParameters& head = m.parameters.head;
  Vector h = layer_norm(m, head.norm, x);
  if (m.config.tokens == Tokens::subpixel) return {dense(m, head.output[0], m.vocab(), h)};
  Vectors logits;
  for (size_t c = 0; c < head.output.size(); ++c) {
    if (c > 0) {
      const size_t before = position * head.output.size() + c - 1;
      add_table_row(m, head.embed[c - 1], pixels[before], h);
    }
    Vector hidden = dense(m, head.hidden[c], m.dim(), h);
    for (double& value : hidden) value = gelu(value);
    logits.push_back(dense(m, head.output[c], m.vocab(), hidden));
  }
  return logits;
}

}  // namespace

double gelu(double x) {
  return 0.5 * x *
         (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

std::vector<std::vector<double>> logits(const ModelConfig& config, const Parameters& parameters,
                                        std::span<const double> values, const uint8_t* pixels) {
  const Model m{config, parameters, values.data()};
  Vectors x = embedding(m, pixels);
  for (size_t layer = 0; layer < parameters.blocks.size(); ++layer) add_block(m, layer, x);
  Vectors logits;
  for (size_t i = 0; i < x.size(); ++i)
    for (Vector& row : head(m, pixels, i, x[i])) logits.push_back(std::move(row));
  return logits;
}

double nats(const std::vector<double>& logits, size_t value) {
  return log_sum_exp(logits) - logits[value];
}

std::vector<double> nats(const ModelConfig& config, const Parameters& parameters,
                         std::span<const double> values, const uint8_t* pixels) {
  Vector all;
  for (const Vector& row : logits(config, parameters, values, pixels))
    all.push_back(nats(row, pixels[all.size()]));
  return all;
}

}  // namespace combiner::reference

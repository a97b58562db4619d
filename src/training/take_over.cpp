#include "training/take_over.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>

#include "combiner/error.h"

namespace combiner {
namespace {

constexpr std::string_view kLearned = "embed.position.weight";
constexpr std::string_view kColumn = "embed.position.column.weight";

// A table of positions as a grid of pixels [rows, columns, dim]. The positions of a pixel's
// sub-pixels, where each has its own, are beside each other in dim.
struct PixelGrid {
  int64_t rows, columns, dim;
  bool operator==(const PixelGrid&) const = default;
};

PixelGrid grid_of(const ModelConfig& config, const Parameter& parameter) {
  const int64_t width = config.image.width;
  const int64_t dim_of_pixel = config.columns() / width * config.embed_dim;
  if (parameter.name == kLearned) return {config.rows(), width, dim_of_pixel};
  if (parameter.name == kColumn) return {width, 1, dim_of_pixel};
  return {config.rows(), 1, config.embed_dim};
}

// The two places of an axis of `from` that place `at` of an axis of `to` lies between, and how near
// it is to the second. Both axes cover the same picture.
struct Between {
  int64_t first, second;
  float share;
};

Between between(int64_t at, int64_t to, int64_t from) {
  const double place =
      (static_cast<double>(at) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
  const double low = std::floor(place);
  const auto clamped = [&](double x) {
    return static_cast<int64_t>(std::clamp(x, 0.0, static_cast<double>(from - 1)));
  };
  return {clamped(low), clamped(low + 1), static_cast<float>(place - low)};
}

void resample(const PixelGrid& from, const float* in, const PixelGrid& to, float* out) {
  const auto row_of = [&](int64_t row, int64_t column) {
    return in + (row * from.columns + column) * from.dim;
  };
  for (int64_t row = 0; row < to.rows; ++row)
    for (int64_t column = 0; column < to.columns; ++column) {
      const Between y = between(row, to.rows, from.rows);
      const Between x = between(column, to.columns, from.columns);
      for (int64_t i = 0; i < to.dim; ++i) {
        const float upper =
            std::lerp(row_of(y.first, x.first)[i], row_of(y.first, x.second)[i], x.share);
        const float lower =
            std::lerp(row_of(y.second, x.first)[i], row_of(y.second, x.second)[i], x.share);
        *out++ = std::lerp(upper, lower, y.share);
      }
    }
}

bool is_position(const Parameter& parameter) {
  return parameter.name.starts_with("embed.position.");
}

}  // namespace

std::vector<std::string> take_over(const Weights& from, Weights& to) {
  std::map<std::string_view, const Parameter*> known;
  for (const Parameter& parameter : from.parameters.list) known[parameter.name] = &parameter;
  std::vector<std::string> lines;
  bool block_fits = false;
  for (const Parameter& parameter : to.parameters.list) {
    const auto found = known.find(parameter.name);
    if (found == known.end()) {
      lines.push_back(fmt::format("{}: begins anew: the file has none", parameter.name));
      continue;
    }
    const Parameter& source = *found->second;
    known.erase(found);
    const float* const in = from.values.data() + source.offset;
    float* const out = to.values.data() + parameter.offset;
    const bool is_table = is_position(parameter);
    const PixelGrid old_grid = is_table ? grid_of(from.config, source) : PixelGrid{};
    const PixelGrid new_grid = is_table ? grid_of(to.config, parameter) : PixelGrid{};
    if (source.shape == parameter.shape && old_grid == new_grid) {
      std::copy_n(in, parameter.size, out);
      block_fits = block_fits || parameter.kind == ParameterKind::matrix;
    } else if (is_table && old_grid.dim == new_grid.dim) {
      resample(old_grid, in, new_grid, out);
      lines.push_back(fmt::format("{}: resampled from {} to {}", parameter.name,
                                  shape_text(source.shape), shape_text(parameter.shape)));
    } else if (source.shape == parameter.shape) {
      lines.push_back(
          fmt::format("{}: begins anew: as large, but for other positions", parameter.name));
    } else {
      lines.push_back(fmt::format("{}: begins anew: the file's is {}, the new model's {}",
                                  parameter.name, shape_text(source.shape),
                                  shape_text(parameter.shape)));
    }
  }
  for (const Parameter& parameter : from.parameters.list)
    if (known.contains(parameter.name))
      lines.push_back(fmt::format("{}: left out: the new model has none", parameter.name));
  if (!block_fits)
    throw Error(
        "no matrix of its blocks fits the new model, whose embed_dim or mlp_dim is another one");
  return lines;
}

}  // namespace combiner

// What a model is: the JSON object under the key `config` in a weights file's metadata.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

// The attention variants (paper, section 4, and the sparse patterns that they complete).
enum class Attention {
  axial_rowmajor,    // my row; rows above by the summary at my column: the official code's "axial"
  axial_vertical,    // my row, my column; every other column above, abstracted
  axial_horizontal,  // my row, my column; each row above to my left and to my right, abstracted
  axial_mixture,     // both of these
  fixed,             // my row; each earlier row, abstracted
  logsparse,         // myself; spans of powers of two, abstracted
  full,              // everything: ordinary causal attention
  // The direct keys alone: the paper's sparse baselines.
  axial,             // my row, my column
  fixed_sparse,      // my row; the last position of each earlier row
  logsparse_sparse,  // myself; the last position of each span
};

inline constexpr Attention kAttentions[] = {Attention::axial_rowmajor,
                                            Attention::axial_vertical,
                                            Attention::axial_horizontal,
                                            Attention::axial_mixture,
                                            Attention::fixed,
                                            Attention::logsparse,
                                            Attention::full,
                                            Attention::axial,
                                            Attention::fixed_sparse,
                                            Attention::logsparse_sparse};

// The MLP's.
enum class Activation { relu, gelu };

// How an image is cut into the positions that the transformer visits.
enum class Tokens {
  subpixel,  // one position a byte, channels interleaved: rows x (columns * channels)
  pixel,     // one position a pixel: rows x columns
};
enum class Position {
  sinusoidal,  // fixed, over the raster index
  learned,     // a row for each position
  axial,       // a learned row vector plus a learned column vector
};

struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;
  bool operator==(const ImageShape&) const = default;
};

// The window of the masked convolution: its last row is the current pixel's, its middle column too.
struct StemShape {
  int rows = 0;
  int columns = 0;
  bool operator==(const StemShape&) const = default;
};

// Which neighbours' values are looked up in tables.
struct Context {
  bool previous = false;
  bool above = false;
  bool operator==(const Context&) const = default;
};

// Rotary positions: queries and keys are turned by angles that grow with their row and column, at
// rates base^(-4 j / head_dim), so that their product depends on how far apart they are.
struct RotaryConfig {
  double base = 0;
  bool operator==(const RotaryConfig&) const = default;
};

struct ModelConfig {
  ImageShape image;
  Tokens tokens = Tokens::pixel;
  int embed_dim = 0;
  int num_layers = 0;
  int num_heads = 0;
  int mlp_dim = 0;
  std::vector<Attention> attention;  // one for each layer
  Activation activation = Activation::gelu;
  Position position = Position::axial;
  Context context;
  std::optional<StemShape> stem;
  std::optional<RotaryConfig> rotary;
  double norm_epsilon = 1e-6;
  std::optional<int> start_token;  // subpixel only: the token that position 0 sees
  // Values of a channel: 256 in every weights file; the authors' test models have fewer.
  int vocab_size = 256;

  // The grid of positions.
  int rows() const { return image.height; }
  int columns() const {
    return tokens == Tokens::pixel ? image.width : image.width * image.channels;
  }
  int positions() const { return rows() * columns(); }
  int head_dim() const { return embed_dim / num_heads; }
  int dims() const { return image.height * image.width * image.channels; }

  bool operator==(const ModelConfig&) const = default;
};

// Reads the JSON text of a config. `source` names the file in messages. Throws Error on malformed
// JSON, an unknown, missing or duplicate field, a wrong type, an impossible value: each names the
// field, the value and what would do.
ModelConfig parse_config(std::string_view json, std::string_view source);
// The same from a file; Error too if that can't be read.
ModelConfig read_config(const std::filesystem::path& path);

// The same checks of values on a config made by a program. `source` names it in messages.
void validate(const ModelConfig& config, std::string_view source);

// The JSON text, on one line, that parse_config reads back to an equal config.
std::string to_json(const ModelConfig& config);

// The names used in configs, for messages and tables.
std::string_view name(Tokens tokens);
std::string_view name(Attention attention);
std::optional<Attention> attention_named(std::string_view name);
std::string_view name(Activation activation);
std::string_view name(Position position);

}  // namespace combiner

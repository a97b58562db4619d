// Model configuration: the JSON object stored under the key `config` in a weights file's metadata.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

// The attention variants: the paper's Combiner variants (section 4), full attention, and the sparse
// patterns that they complete. Each line says what a query attends to in causal attention. "Row" is
// the query's own row, up to itself; "column" is its own column, above it; "abstracted" means one
// key for a whole set of positions (paper, section 3.2).
enum class Attention {
  axial_rowmajor,    // row; each row above by its summary at the query's column (official "axial")
  axial_vertical,    // row, column; every other column above, abstracted
  axial_horizontal,  // row, column; the left part and the right part of each row above, abstracted
  axial_mixture,     // axial_vertical and axial_horizontal together
  fixed,             // row; each earlier row, abstracted
  logsparse,         // itself; earlier spans of power-of-two lengths, abstracted
  full,              // every position up to itself: ordinary causal attention
  // The paper's sparse baselines, without abstractions.
  axial,             // row, column
  fixed_sparse,      // row; the last position of each earlier row
  logsparse_sparse,  // itself; the last position of each span
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

// The activation function of the MLP.
enum class Activation { relu, gelu };

// How an image is divided into the positions that the transformer visits.
enum class Tokens {
  subpixel,  // one position per byte, channels interleaved: rows x (columns * channels)
  pixel,     // one position per pixel: rows x columns
};
enum class Position {
  sinusoidal,  // fixed, a function of the raster index
  learned,     // one learned vector per position
  axial,       // a learned row vector plus a learned column vector
};

struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;
  bool operator==(const ImageShape&) const = default;
};

// The window of the masked convolution. The current pixel is in its last row and middle column.
struct StemShape {
  int rows = 0;
  int columns = 0;
  bool operator==(const StemShape&) const = default;
};

// Which neighbouring pixels contribute embeddings of their values.
struct Context {
  bool previous = false;
  bool above = false;
  bool operator==(const Context&) const = default;
};

// Rotary positions: queries and keys are rotated by angles proportional to their row and column, at
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
  std::vector<Attention> attention;  // one per layer
  Activation activation = Activation::gelu;
  Position position = Position::axial;
  Context context;
  std::optional<StemShape> stem;
  std::optional<RotaryConfig> rotary;
  double norm_epsilon = 1e-6;
  std::optional<int> start_token;  // subpixel only: the token that position 0 sees
  // The number of values of a sub-pixel: 256 in every weights file; the authors' test models have
  // fewer.
  int vocab_size = 256;

  // The size of the grid of positions.
  int rows() const { return image.height; }
  int columns() const {
    return tokens == Tokens::pixel ? image.width : image.width * image.channels;
  }
  int positions() const { return rows() * columns(); }
  int head_dim() const { return embed_dim / num_heads; }
  int dims() const { return image.height * image.width * image.channels; }

  bool operator==(const ModelConfig&) const = default;
};

// Parses a config from JSON text. `source` names the file in error messages. Throws Error on
// malformed JSON, on an unknown, missing or duplicate field, and on a value of the wrong type or
// out of range. The message gives the field, its value and what is accepted.
ModelConfig parse_config(std::string_view json, std::string_view source);
// Parses a config from a file. Also throws Error if the file cannot be read.
ModelConfig read_config(const std::filesystem::path& path);

// Checks the values of a config built by a program as parse_config does. `source` names the config
// in error messages.
void validate(const ModelConfig& config, std::string_view source);

// Returns the JSON text, on one line, from which parse_config restores an equal config. Throws
// Error unless vocab_size is 256.
std::string to_json(const ModelConfig& config);

// The names used in configs, for messages and tables. attention_named returns nullopt for an
// unknown name.
std::string_view name(Tokens tokens);
std::string_view name(Attention attention);
std::optional<Attention> attention_named(std::string_view name);
std::string_view name(Activation activation);
std::string_view name(Position position);

}  // namespace combiner

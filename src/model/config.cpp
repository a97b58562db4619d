#include "combiner/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <utility>

#include "base/file_kind.h"
#include "base/json.h"
#include "base/read_file.h"
#include "combiner/error.h"

namespace combiner {
namespace {

// Bounds of the sizes: generous, yet small enough that no product of sizes overflows 64 bits.
struct Range {
  int low;
  int high;
};
constexpr Range kSide = {1, 1024};
constexpr Range kChannels = {1, 4};
constexpr Range kEmbedDim = {1, 16384};
constexpr Range kLayers = {1, 1024};
constexpr Range kHeads = {1, 1024};
constexpr Range kMlpDim = {1, 65536};
constexpr Range kStemSide = {1, 63};
constexpr Range kVocabSize = {1, 256};

template <class Enum>
struct Named {
  Enum value;
  std::string_view name;
};
constexpr Named<Tokens> kTokens[] = {{Tokens::subpixel, "subpixel"}, {Tokens::pixel, "pixel"}};
constexpr Named<Attention> kAttention[] = {{Attention::axial_rowmajor, "axial_rowmajor"},
                                           {Attention::axial_vertical, "axial_vertical"},
                                           {Attention::axial_horizontal, "axial_horizontal"},
                                           {Attention::axial_mixture, "axial_mixture"},
                                           {Attention::fixed, "fixed"},
                                           {Attention::logsparse, "logsparse"},
                                           {Attention::full, "full"},
                                           {Attention::axial, "axial"},
                                           {Attention::fixed_sparse, "fixed_sparse"},
                                           {Attention::logsparse_sparse, "logsparse_sparse"}};
constexpr Named<Activation> kActivation[] = {{Activation::relu, "relu"},
                                             {Activation::gelu, "gelu"}};
constexpr Named<Position> kPosition[] = {{Position::sinusoidal, "sinusoidal"},
                                         {Position::learned, "learned"},
                                         {Position::axial, "axial"}};
constexpr Named<bool Context::*> kContext[] = {{&Context::previous, "previous"},
                                               {&Context::above, "above"}};

template <class Enum, size_t N>
std::optional<Enum> value_in(const Named<Enum> (&table)[N], std::string_view name) {
  const auto found = std::ranges::find(table, name, &Named<Enum>::name);
  return found != std::end(table) ? std::optional(found->value) : std::nullopt;
}

template <class Enum, size_t N>
std::string_view name_in(const Named<Enum> (&table)[N], Enum value) {
  return std::ranges::find(table, value, &Named<Enum>::value)->name;
}

template <class Enum, size_t N>
std::string names_in(const Named<Enum> (&table)[N]) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.push_back(fmt::format("\"{}\"", entry.name));
  return fmt::format("{}", fmt::join(names, ", "));
}

[[noreturn]] void fail(std::string_view source, std::string_view field, std::string_view value,
                       std::string_view expected) {
  throw Error(
      fmt::format("{}: config field \"{}\" is {}; expected {}", source, field, value, expected));
}

template <class Integer>
bool contains(Range range, Integer value) {
  return std::cmp_greater_equal(value, range.low) && std::cmp_less_equal(value, range.high);
}

std::string expected_in(Range range) {
  return fmt::format("a whole number from {} to {}", range.low, range.high);
}

// A JSON object with a known set of fields.
class Fields {
 public:
  // All of `names` are required, except those also listed in `optional`. `path` is the prefix of
  // the field names in error messages: "" or "image.".
  Fields(const Json& object, std::string_view source, std::string_view path,
         std::initializer_list<std::string_view> names,
         std::initializer_list<std::string_view> optional = {})
      : object_(object), source_(source), path_(path) {
    for (const auto& [key, value] : object.items()) {
      if (std::ranges::find(names, key) == names.end()) {
        throw Error(fmt::format("{}: unknown config field {}; the known fields are {}", source,
                                shown(path_ + key), fmt::join(names, ", ")));
      }
    }
    for (const std::string_view name : names) {
      if (!object.contains(name) && std::ranges::find(optional, name) == optional.end()) {
        throw Error(fmt::format("{}: config field \"{}{}\" is missing", source, path_, name));
      }
    }
  }

  const Json& value(std::string_view field) const { return object_[field]; }
  // False for a null and for an absent optional field.
  bool has_value(std::string_view field) const {
    return object_.contains(field) && !value(field).is_null();
  }

  [[noreturn]] void fail(std::string_view field, std::string_view expected) const {
    combiner::fail(source_, path_ + std::string(field), shown(value(field)), expected);
  }

  int integer(std::string_view field, Range range) const {
    const Json& number = value(field);
    const bool good = number.is_number_unsigned()
                          ? contains(range, number.get<uint64_t>())
                          : number.is_number_integer() && contains(range, number.get<int64_t>());
    if (!good) fail(field, expected_in(range));
    return number.get<int>();
  }

  double number(std::string_view field) const {
    if (!value(field).is_number()) fail(field, "a number");
    return value(field).get<double>();
  }

  // Looks up the name in `item`, which is the field's value or one of its elements.
  template <class Enum, size_t N>
  Enum named(std::string_view field, const Named<Enum> (&table)[N], const Json& item) const {
    if (item.is_string()) {
      const std::optional<Enum> found = value_in(table, item.get_ref<const std::string&>());
      if (found) return *found;
    }
    combiner::fail(source_, path_ + std::string(field), shown(item),
                   fmt::format("one of {}", names_in(table)));
  }
  template <class Enum, size_t N>
  Enum named(std::string_view field, const Named<Enum> (&table)[N]) const {
    return named(field, table, value(field));
  }

  // The object in a field, which must have exactly the fields `names`.
  Fields object(std::string_view field, std::initializer_list<std::string_view> names) const {
    if (!value(field).is_object()) {
      fail(field, fmt::format("an object with the fields {}", fmt::join(names, ", ")));
    }
    return Fields(value(field), source_, path_ + std::string(field) + ".", names);
  }

 private:
  const Json& object_;
  std::string_view source_;
  std::string path_;
};

ImageShape read_image(const Fields& image) {
  return {image.integer("height", kSide), image.integer("width", kSide),
          image.integer("channels", kChannels)};
}

// Accepts one name for all layers or an array with one name per layer.
std::vector<Attention> read_attention(const Fields& fields, int num_layers) {
  const Json& value = fields.value("attention");
  if (!value.is_array()) {
    return std::vector(static_cast<size_t>(num_layers), fields.named("attention", kAttention));
  }
  std::vector<Attention> attention;
  for (const Json& item : value) attention.push_back(fields.named("attention", kAttention, item));
  return attention;
}

Context read_context(const Fields& fields) {
  const std::string expected = fmt::format("a list of some of {}, each once", names_in(kContext));
  if (!fields.value("context").is_array()) fields.fail("context", expected);
  Context context;
  for (const Json& item : fields.value("context")) {
    bool& named = context.*fields.named("context", kContext, item);
    if (named) fields.fail("context", expected);
    named = true;
  }
  return context;
}

std::optional<StemShape> read_stem(const Fields& fields) {
  if (fields.value("stem").is_null()) return std::nullopt;
  const Fields stem = fields.object("stem", {"rows", "columns"});
  return StemShape{stem.integer("rows", kStemSide), stem.integer("columns", kStemSide)};
}

// Whether the variant has abstractions, whose keys are elementwise maxima over several positions.
bool has_abstractions(Attention attention) {
  switch (attention) {
    case Attention::axial_vertical:
    case Attention::axial_horizontal:
    case Attention::axial_mixture:
    case Attention::fixed:
    case Attention::logsparse:
      return true;
    default:
      return false;
  }
}

std::optional<RotaryConfig> read_rotary(const Fields& fields) {
  if (!fields.has_value("rotary")) return std::nullopt;
  return RotaryConfig{fields.object("rotary", {"base"}).number("base")};
}

std::optional<int> read_start_token(const Fields& fields) {
  if (fields.value("start_token").is_null()) return std::nullopt;
  return fields.integer("start_token", {0, kVocabSize.high});
}

}  // namespace

ModelConfig parse_config(std::string_view json, std::string_view source) {
  const Json object = parse_json(json, fmt::format("{}: config", source));
  if (!object.is_object()) {
    throw Error(fmt::format("{}: config is {}; expected an object", source, shown(object)));
  }
  // Checked first, because another format may have other fields.
  if (object.contains("format") && object["format"] != kConfigFormat) {
    fail(source, "format", shown(object["format"]), fmt::format("\"{}\"", kConfigFormat));
  }
  const Fields fields(
      object, source, "",
      {"format", "image", "tokens", "embed_dim", "num_layers", "num_heads", "mlp_dim", "attention",
       "activation", "position", "context", "stem", "rotary", "norm_epsilon", "start_token"},
      {"rotary"});

  ModelConfig config;
  config.image = read_image(fields.object("image", {"height", "width", "channels"}));
  config.tokens = fields.named("tokens", kTokens);
  config.embed_dim = fields.integer("embed_dim", kEmbedDim);
  config.num_layers = fields.integer("num_layers", kLayers);
  config.num_heads = fields.integer("num_heads", kHeads);
  config.mlp_dim = fields.integer("mlp_dim", kMlpDim);
  config.attention = read_attention(fields, config.num_layers);
  config.activation = fields.named("activation", kActivation);
  config.position = fields.named("position", kPosition);
  config.context = read_context(fields);
  config.stem = read_stem(fields);
  config.rotary = read_rotary(fields);
  config.norm_epsilon = fields.number("norm_epsilon");
  config.start_token = read_start_token(fields);
  validate(config, source);
  return config;
}

ModelConfig read_config(const std::filesystem::path& path) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  const std::vector<uint8_t> bytes = read_file(path, kMaxBytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const std::string kind = file_kind(std::as_bytes(std::span(bytes)));
  const bool may_be_config = text.substr(first).starts_with('{') && !is_weights_index(text);
  if (!may_be_config && !kind.empty())
    throw Error(fmt::format("{}: is not a config, a JSON object; it is {}", path.string(), kind));
  return parse_config(text, path.string());
}

void validate(const ModelConfig& config, std::string_view source) {
  const auto require = [&](bool good, std::string_view field, const auto& value,
                           std::string_view expected) {
    if (!good) fail(source, field, fmt::format("{}", value), expected);
  };
  const auto require_in = [&](Range range, std::string_view field, int value) {
    require(contains(range, value), field, value, expected_in(range));
  };
  require_in(kSide, "image.height", config.image.height);
  require_in(kSide, "image.width", config.image.width);
  require_in(kChannels, "image.channels", config.image.channels);
  require_in(kEmbedDim, "embed_dim", config.embed_dim);
  require_in(kLayers, "num_layers", config.num_layers);
  require_in(kHeads, "num_heads", config.num_heads);
  require_in(kMlpDim, "mlp_dim", config.mlp_dim);
  require_in(kVocabSize, "vocab_size", config.vocab_size);

  require(config.embed_dim % config.num_heads == 0, "num_heads", config.num_heads,
          fmt::format("a divisor of embed_dim, which is {}", config.embed_dim));
  require(std::cmp_equal(config.attention.size(), config.num_layers), "attention",
          fmt::format("{} names long", config.attention.size()),
          fmt::format("one name for each of the {} layers", config.num_layers));
  require(config.position != Position::sinusoidal ||
              (config.embed_dim >= 4 && config.embed_dim % 2 == 0),
          "embed_dim", config.embed_dim,
          "an even number of at least 4 for sinusoidal positions (pairs of sine and cosine)");
  const auto epsilon = static_cast<float>(config.norm_epsilon);  // as the kernels take it
  require(std::isfinite(epsilon) && epsilon > 0, "norm_epsilon", config.norm_epsilon,
          "a finite number above 0, also as a 32-bit float");

  if (config.stem) {
    require_in(kStemSide, "stem.rows", config.stem->rows);
    require_in(kStemSide, "stem.columns", config.stem->columns);
    require(config.stem->columns % 2 == 1, "stem.columns", config.stem->columns,
            "an odd number, so that the window has a middle column");
    require(*config.stem != StemShape{1, 1}, "stem", "1 x 1",
            "a larger window: this one holds no earlier pixel");
  }
  if (config.rotary) {
    require(std::isfinite(config.rotary->base) && config.rotary->base > 0, "rotary.base",
            config.rotary->base, "a finite number above 0");
    require(config.head_dim() % 4 == 0, "num_heads", config.num_heads,
            fmt::format("heads of a multiple of 4 numbers for rotary positions; embed_dim is {}",
                        config.embed_dim));
    for (const Attention attention : config.attention)
      require(!has_abstractions(attention), "attention", fmt::format("\"{}\"", name(attention)),
              "a variant without maxima of keys for rotary positions: their keys have no place");
  }
  if (config.tokens == Tokens::pixel) {
    require(config.image.channels == 3, "image.channels", config.image.channels,
            "3 for pixel tokens");
    require(!config.start_token, "start_token", config.start_token.value_or(0),
            "null for pixel tokens");
    require(config.context != Context{} || config.stem, "context", "[] and stem is null",
            "at least one of the two for pixel tokens, or no position sees an earlier pixel");
  } else {
    require(config.start_token.has_value(), "start_token", "null",
            fmt::format("a token from 0 to {} for subpixel tokens", config.vocab_size));
    require_in({0, config.vocab_size}, "start_token", *config.start_token);
  }
}

std::string to_json(const ModelConfig& config) {
  if (config.vocab_size != kVocabSize.high) {
    throw Error(fmt::format("a config with a vocab_size of {} can't be written; files hold {}",
                            config.vocab_size, kVocabSize.high));
  }
  nlohmann::ordered_json json;
  json["format"] = kConfigFormat;
  json["image"] = {{"height", config.image.height},
                   {"width", config.image.width},
                   {"channels", config.image.channels}};
  json["tokens"] = name(config.tokens);
  json["embed_dim"] = config.embed_dim;
  json["num_layers"] = config.num_layers;
  json["num_heads"] = config.num_heads;
  json["mlp_dim"] = config.mlp_dim;
  std::vector<std::string_view> attention;
  for (const Attention layer : config.attention) attention.push_back(name(layer));
  const bool all_equal =
      std::ranges::adjacent_find(attention, std::not_equal_to()) == attention.end();
  if (all_equal && !attention.empty()) {
    json["attention"] = attention.front();
  } else {
    json["attention"] = attention;
  }
  json["activation"] = name(config.activation);
  json["position"] = name(config.position);
  json["context"] = nlohmann::ordered_json::array();
  for (const auto& [member, name] : kContext) {
    if (config.context.*member) json["context"].push_back(name);
  }
  json["stem"] = nullptr;
  if (config.stem) json["stem"] = {{"rows", config.stem->rows}, {"columns", config.stem->columns}};
  if (config.rotary) json["rotary"] = {{"base", config.rotary->base}};
  json["norm_epsilon"] = config.norm_epsilon;
  json["start_token"] = nullptr;
  if (config.start_token) json["start_token"] = *config.start_token;
  return json.dump();
}

std::string_view name(Tokens tokens) { return name_in(kTokens, tokens); }
std::optional<Attention> attention_named(std::string_view name) {
  return value_in(kAttention, name);
}
std::string_view name(Attention attention) { return name_in(kAttention, attention); }
std::string_view name(Activation activation) { return name_in(kActivation, activation); }
std::string_view name(Position position) { return name_in(kPosition, position); }

}  // namespace combiner

#include "combiner/config.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "combiner/error.h"
#include "error_of.h"
#include "file_text.h"
#include "model/random_model.h"
#include "temp_folder.h"

namespace combiner {
namespace {

using Json = nlohmann::json;

Json pixel_json() {
  return Json::parse(R"({
    "format": "combiner-1", "image": {"height": 32, "width": 16, "channels": 3},
    "tokens": "pixel", "embed_dim": 128, "num_layers": 2, "num_heads": 4, "mlp_dim": 512,
    "attention": "axial_rowmajor", "activation": "gelu", "position": "axial",
    "context": ["previous", "above"], "stem": {"rows": 4, "columns": 7}, "norm_epsilon": 1e-06,
    "start_token": null})");
}

Json subpixel_json() {
  Json json = pixel_json();
  json["tokens"] = "subpixel";
  json["context"] = Json::array();
  json["stem"] = nullptr;
  json["start_token"] = 256;
  json["activation"] = "relu";
  json["position"] = "sinusoidal";
  json["attention"] = {"full", "axial_rowmajor"};
  return json;
}

ModelConfig parse(const Json& json) { return parse_config(json.dump(), "m.safetensors"); }

// The pixel config with the value at a JSON pointer replaced.
Json with(const char* pointer, const Json& value) {
  Json json = pixel_json();
  json[Json::json_pointer(pointer)] = value;
  return json;
}

Json subpixel_with(const char* pointer, const Json& value) {
  Json json = subpixel_json();
  json[Json::json_pointer(pointer)] = value;
  return json;
}

// The message of the Error that parsing throws.
std::string parse_error(const std::string& text) {
  return error_of([&] { parse_config(text, "m.safetensors"); });
}
std::string parse_error(const Json& json) { return parse_error(json.dump()); }

// Checks that the message names the file, the field, the bad value and what was expected.
void check_refused(const Json& json, const std::string& field, const std::string& value,
                   const std::string& expected) {
  CHECK_THAT(parse_error(json), contains("m.safetensors: config field \"" + field + "\" is " +
                                         value + "; expected " + expected));
}

}  // namespace

TEST_CASE("config: parses a pixel config") {
  const ModelConfig config = parse(pixel_json());
  CHECK(config.image == ImageShape{32, 16, 3});
  CHECK(config.tokens == Tokens::pixel);
  CHECK(config.embed_dim == 128);
  CHECK(config.num_layers == 2);
  CHECK(config.num_heads == 4);
  CHECK(config.mlp_dim == 512);
  CHECK(config.attention == std::vector{Attention::axial_rowmajor, Attention::axial_rowmajor});
  CHECK(config.activation == Activation::gelu);
  CHECK(config.position == Position::axial);
  CHECK(config.context == Context{true, true});
  CHECK(config.stem == StemShape{4, 7});
  CHECK(config.norm_epsilon == 1e-6);
  CHECK_FALSE(config.start_token);
  CHECK(config.vocab_size == 256);
  CHECK(config.positions() == 32 * 16);
}

TEST_CASE("config: parses a subpixel config") {
  const ModelConfig config = parse(subpixel_json());
  CHECK(config.tokens == Tokens::subpixel);
  CHECK(config.attention == std::vector{Attention::full, Attention::axial_rowmajor});
  CHECK(config.activation == Activation::relu);
  CHECK(config.position == Position::sinusoidal);
  CHECK(config.context == Context{});
  CHECK_FALSE(config.stem);
  CHECK(config.start_token == 256);
  CHECK(config.columns() == 16 * 3);
}

TEST_CASE("config: a written config is on one line and reads back equal") {
  for (const Json& json : {pixel_json(), subpixel_json(), with("/context", {"above"}),
                           with("/norm_epsilon", 0.1), with("/position", "learned")}) {
    const ModelConfig config = parse(json);
    const std::string text = to_json(config);
    INFO(text);
    CHECK(parse_config(text, "again") == config);
    CHECK(Json::parse(text) == json);
    CHECK(text.find('\n') == text.npos);
  }
}

TEST_CASE("config: a vocabulary that files can't represent is not written") {
  ModelConfig config = parse(subpixel_json());
  config.vocab_size = 12;
  config.start_token = 12;
  CHECK_NOTHROW(validate(config, "test"));
  CHECK_THROWS_WITH(to_json(config), contains("vocab_size of 12"));
}

TEST_CASE("config: text that is not one JSON object is refused") {
  CHECK_THAT(parse_error(std::string("")), contains("m.safetensors: config is not valid JSON"));
  CHECK_THAT(parse_error(std::string("{\"format\": }")),
             contains("not valid JSON: parse error at line 1, column 12"));
  CHECK_THAT(parse_error(std::string("[1]")), contains("config is [1]; expected an object"));
  CHECK_THAT(parse_error(pixel_json().dump() + "x"), contains("not valid JSON"));
  CHECK_THAT(parse_error(pixel_json().dump() + std::string("\0{", 2)), contains("zero byte"));
  CHECK_THAT(parse_error(std::string("{\"format\": \"\xff\"}")), contains("UTF-8"));
  CHECK_THAT(parse_error(std::string("{\"embed_dim\": 1e999}")), contains("number overflow"));
  CHECK_THAT(parse_error(std::string(1'000'000, '[')), contains("nested deeper"));
}

TEST_CASE("config: duplicate fields are refused") {
  std::string text = pixel_json().dump();
  CHECK_THAT(parse_error("{\"tokens\": \"pixel\"," + text.substr(1)),
             contains("duplicate key \"tokens\""));
  const std::string image = "\"image\":{";
  text.insert(text.find(image) + image.size(), "\"width\":16,");
  CHECK_THAT(parse_error(text), contains("duplicate key \"width\" in \"image\""));
}

TEST_CASE("config: every missing field is named") {
  const Json good = pixel_json();
  for (const auto& field : good.items()) {
    Json json = good;
    json.erase(field.key());
    CHECK_THAT(parse_error(json), contains("config field \"" + field.key() + "\" is missing"));
  }
  for (const char* parent : {"image", "stem"}) {
    for (const auto& field : good[parent].items()) {
      Json json = good;
      json[parent].erase(field.key());
      CHECK_THAT(parse_error(json), contains("config field \"" + std::string(parent) + "." +
                                             field.key() + "\" is missing"));
    }
  }
}

TEST_CASE("config: unknown fields are named") {
  CHECK_THAT(parse_error(with("/dropout", 0.1)),
             contains("unknown config field \"dropout\"; the known fields are format, image"));
  CHECK_THAT(parse_error(with("/image/depth", 1)),
             contains("unknown config field \"image.depth\"; the known fields are height"));
}

TEST_CASE("config: another format is refused before its fields are checked") {
  check_refused(Json{{"format", "combiner-2"}, {"new", 1}}, "format", "\"combiner-2\"",
                "\"combiner-1\"");
}

TEST_CASE("config: wrong types are refused") {
  check_refused(with("/image", 32), "image", "32", "an object");
  check_refused(with("/image/height", "32"), "image.height", "\"32\"", "a whole number");
  check_refused(with("/embed_dim", 128.0), "embed_dim", "128.0", "a whole number");
  check_refused(with("/embed_dim", true), "embed_dim", "true", "a whole number");
  check_refused(with("/num_layers", nullptr), "num_layers", "null", "a whole number");
  check_refused(with("/tokens", 1), "tokens", "1", "one of \"subpixel\", \"pixel\"");
  check_refused(with("/attention", {1, 2}), "attention", "1", "one of");
  check_refused(with("/context", "above"), "context", "\"above\"", "a list");
  check_refused(with("/stem", 4), "stem", "4", "an object");
  check_refused(with("/norm_epsilon", "small"), "norm_epsilon", "\"small\"", "a number");
  check_refused(subpixel_with("/start_token", "256"), "start_token", "\"256\"", "a whole number");
}

TEST_CASE("config: unknown names are refused with the known ones") {
  check_refused(with("/tokens", "patch"), "tokens", "\"patch\"", "one of \"subpixel\", \"pixel\"");
  const std::string variants =
      "one of \"axial_rowmajor\", \"axial_vertical\", \"axial_horizontal\", \"axial_mixture\", "
      "\"fixed\", \"logsparse\", \"full\", \"axial\", \"fixed_sparse\", \"logsparse_sparse\"";
  check_refused(with("/attention", "linear"), "attention", "\"linear\"", variants);
  check_refused(with("/attention", {"full", "linear"}), "attention", "\"linear\"", variants);
  check_refused(with("/activation", "swish"), "activation", "\"swish\"",
                "one of \"relu\", \"gelu\"");
  check_refused(with("/position", "rotary"), "position", "\"rotary\"",
                "one of \"sinusoidal\", \"learned\", \"axial\"");
  check_refused(with("/context", {"left"}), "context", "\"left\"",
                "one of \"previous\", \"above\"");
}

TEST_CASE("config: sizes out of bounds are refused") {
  const struct {
    const char* pointer;
    const char* field;
    int highest;
  } sizes[] = {{"/image/height", "image.height", 1024},  {"/image/width", "image.width", 1024},
               {"/image/channels", "image.channels", 4}, {"/embed_dim", "embed_dim", 16384},
               {"/num_layers", "num_layers", 1024},      {"/num_heads", "num_heads", 1024},
               {"/mlp_dim", "mlp_dim", 65536},           {"/stem/rows", "stem.rows", 63},
               {"/stem/columns", "stem.columns", 63}};
  for (const auto& size : sizes) {
    const std::string expected = "a whole number from 1 to " + std::to_string(size.highest);
    check_refused(with(size.pointer, 0), size.field, "0", expected);
    check_refused(with(size.pointer, -1), size.field, "-1", expected);
    check_refused(with(size.pointer, size.highest + 1), size.field,
                  std::to_string(size.highest + 1), expected);
    // 2^32 + 1 must not be truncated to 1.
    check_refused(with(size.pointer, 4294967297), size.field, "4294967297", expected);
    check_refused(with(size.pointer, std::numeric_limits<uint64_t>::max()), size.field,
                  "18446744073709551615", expected);
  }
}

TEST_CASE("config: incompatible values are refused") {
  check_refused(with("/num_heads", 3), "num_heads", "3", "a divisor of embed_dim, which is 128");
  check_refused(with("/attention", {"full"}), "attention", "1 names long",
                "one name for each of the 2 layers");
  check_refused(with("/attention", Json::array()), "attention", "0 names long", "one name");
  check_refused(with("/context", {"above", "above"}), "context", "[\"above\",\"above\"]",
                "a list of some of \"previous\", \"above\", each once");
  check_refused(with("/image/channels", 1), "image.channels", "1", "3 for pixel tokens");
  check_refused(with("/start_token", 256), "start_token", "256", "null for pixel tokens");
  check_refused(subpixel_with("/start_token", nullptr), "start_token", "null",
                "a token from 0 to 256");
  check_refused(subpixel_with("/start_token", 257), "start_token", "257",
                "a whole number from 0 to 256");
  check_refused(subpixel_with("/start_token", -1), "start_token", "-1",
                "a whole number from 0 to 256");
  check_refused(with("/stem/columns", 6), "stem.columns", "6", "an odd number");
  check_refused(with("/stem", {{"rows", 1}, {"columns", 1}}), "stem", "1 x 1", "a larger window");
  Json blind = with("/context", Json::array());
  blind["stem"] = nullptr;
  check_refused(blind, "context", "[] and stem is null", "at least one");
  for (const int embed_dim : {2, 7}) {
    Json sinusoidal = subpixel_with("/embed_dim", embed_dim);
    sinusoidal["num_heads"] = 1;
    check_refused(sinusoidal, "embed_dim", std::to_string(embed_dim), "an even number");
  }
  check_refused(with("/norm_epsilon", 0), "norm_epsilon", "0", "a finite number above 0");
  check_refused(with("/norm_epsilon", 1e-50), "norm_epsilon", "1e-50", "a finite number above 0");
  check_refused(with("/norm_epsilon", 1e39), "norm_epsilon", "1e+39", "a finite number above 0");
  check_refused(with("/norm_epsilon", -1e-6), "norm_epsilon", "-1e-06", "a finite number");
}

TEST_CASE("config: the field for rotary positions may be an object, null or absent") {
  const auto rotary = [](const Json& value) { return with("/rotary", value); };
  CHECK(parse(rotary({{"base", 100}})).rotary == RotaryConfig{100});
  CHECK_FALSE(parse(rotary(nullptr)).rotary);
  CHECK_FALSE(parse(pixel_json()).rotary);
  CHECK(parse(rotary(nullptr)) == parse(pixel_json()));
  const ModelConfig config = parse(rotary({{"base", 12.5}}));
  CHECK(parse_config(to_json(config), "written") == config);
  CHECK_THAT(to_json(parse(pixel_json())), !contains("rotary"));

  check_refused(rotary(100), "rotary", "100", "an object with the fields base");
  check_refused(rotary({{"base", 0}}), "rotary.base", "0", "a finite number above 0");
  check_refused(rotary({{"base", "100"}}), "rotary.base", "\"100\"", "a number");
  CHECK_THAT(parse_error(rotary(Json::object())),
             contains("config field \"rotary.base\" is missing"));
  CHECK_THAT(parse_error(rotary({{"base", 1}, {"bass", 2}})),
             contains("unknown config field \"rotary.bass\""));
  Json narrow = rotary({{"base", 100}});
  narrow["num_heads"] = 64;
  check_refused(narrow, "num_heads", "64", "heads of a multiple of 4 numbers");
  for (const Attention attention : kAttentions) {
    Json json = rotary({{"base", 100}});
    json["attention"] = name(attention);
    if (supports_rotary(attention))
      CHECK_NOTHROW(parse(json));
    else
      check_refused(json, "attention", fmt::format("\"{}\"", name(attention)),
                    "a variant without maxima of keys");
  }
}

TEST_CASE("config: subpixel images may have one to four channels") {
  for (int channels = 1; channels <= 4; ++channels) {
    CHECK(parse(subpixel_with("/image/channels", channels)).image.channels == channels);
  }
}

TEST_CASE("config: values set by a program are checked") {
  const ModelConfig good = parse(subpixel_json());
  CHECK_NOTHROW(validate(good, "test"));
  ModelConfig config = good;
  config.norm_epsilon = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(validate(config, "test"), contains("test: config field \"norm_epsilon\""));
  config = good;
  config.norm_epsilon = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(validate(config, "test"), Error);
  config = good;
  config.num_heads = 0;
  CHECK_THROWS_WITH(validate(config, "test"), contains("\"num_heads\" is 0"));
  config = good;
  config.vocab_size = 12;
  CHECK_THROWS_WITH(validate(config, "test"), contains("\"start_token\" is 256"));
  config.vocab_size = 0;
  CHECK_THROWS_WITH(validate(config, "test"), contains("\"vocab_size\" is 0"));
}

TEST_CASE("config: a file that is something else is named as what it is") {
  const TempFolder folder;
  for (const auto& [text, kind] : {std::pair{"<!DOCTYPE html><html></html>", "an HTML page"},
                                   {R"({"metadata": {}, "weight_map": {"a": "b.safetensors"}})",
                                    "the index of weights that lie in several files"}}) {
    INFO(text);
    CHECK_THROWS_WITH(
        read_config(write_text(folder / "config.json", text)),
        contains("config.json: is not a config, a JSON object; it is ") && contains(kind));
  }
}

TEST_CASE("config: names") {
  CHECK(name(Tokens::subpixel) == "subpixel");
  CHECK(name(Attention::axial_rowmajor) == "axial_rowmajor");
  CHECK(name(Activation::relu) == "relu");
  CHECK(name(Position::learned) == "learned");
}

}  // namespace combiner

#include "cli/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "base/json_reason.h"
#include "base/printable.h"
#include "combiner/error.h"
#include "image/contact_sheet.h"
#include "sampling/choice.h"

namespace combiner {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kKeyword = "combiner";

Error malformed(const std::filesystem::path& path, const std::string& reason) {
  return Error(fmt::format("{}: what it says of how it was made is malformed: {}", path.string(),
                           printable(reason)));
}

int64_t number_in(const OrderedJson& json, const char* key, int64_t least, int64_t most) {
  const OrderedJson& value = json.at(key);
  const std::optional<int64_t> number = whole_number(value);
  if (!number || *number < least || *number > most)
    throw Error(fmt::format("{} is {}; expected a whole number from {} to {}", key, value.dump(),
                            least, most));
  return *number;
}

int small_number(const OrderedJson& json, const char* key, int least, int most) {
  return static_cast<int>(number_in(json, key, least, most));
}

Precision precision_in(const OrderedJson& json) {
  const auto name = json.at("precision").get<std::string>();
  if (const auto precision = precision_named(name)) return *precision;
  throw Error(fmt::format("precision is \"{}\"; expected f32, bf16 or int8", name));
}

Recipe from_json(const OrderedJson& json) {
  constexpr int kMaxSide = 1 << 20;
  Recipe recipe;
  // The texts go into messages.
  const auto text = [&](const char* key) { return printable(json.at(key).get<std::string>()); };
  recipe.program = text("program");
  recipe.command = text("command");
  recipe.model = text("model");
  recipe.sha256 = text("sha256");
  if (!json.at("seed").is_number_unsigned())
    throw Error(fmt::format("seed is {}; expected a whole number", json.at("seed").dump()));
  recipe.seed = json.at("seed");
  recipe.first = number_in(json, "first", 0, kMostFirst);
  recipe.count = number_in(json, "count", 1, kMostImages);
  recipe.choice.temperature = json.at("temperature");
  recipe.choice.top_k = small_number(json, "top_k", 1, 256);
  recipe.choice.top_p = json.at("top_p");
  validate(recipe.choice);
  recipe.precision = precision_in(json);
  recipe.kernels = text("kernels");
  const OrderedJson& sheet = json.at("sheet");
  recipe.sheet = {
      small_number(sheet, "rows", 1, kMaxSide), small_number(sheet, "columns", 1, kMaxSide),
      small_number(sheet, "gap", 0, kMaxSide), small_number(sheet, "scale", 1, kMostScale)};
  recipe.unfinished = json.value("unfinished", false);
  if (json.contains("keep_rows")) {
    recipe.keep_rows = small_number(json, "keep_rows", 0, kMaxSide);
    recipe.pictures = json.at("pictures").get<std::vector<std::string>>();
  }
  return recipe;
}

}  // namespace

OrderedJson to_json(const Recipe& recipe) {
  OrderedJson json = {
      {"program", recipe.program},
      {"command", recipe.command},
      {"model", recipe.model},
      {"sha256", recipe.sha256},
      {"seed", recipe.seed},
      {"first", recipe.first},
      {"count", recipe.count},
      {"temperature", recipe.choice.temperature},
      {"top_k", recipe.choice.top_k},
      {"top_p", recipe.choice.top_p},
      {"precision", name(recipe.precision)},
      {"kernels", recipe.kernels},
      {"sheet",
       {{"rows", recipe.sheet.rows},
        {"columns", recipe.sheet.columns},
        {"gap", recipe.sheet.gap},
        {"scale", recipe.sheet.scale}}},
  };
  if (recipe.unfinished) json["unfinished"] = true;
  if (recipe.command == "complete") {
    json["keep_rows"] = recipe.keep_rows;
    json["pictures"] = recipe.pictures;
  }
  return json;
}

std::vector<PngText> made_by_texts(const OrderedJson& made_by) {
  // PNG's plain text is not UTF-8, so what is not ASCII in names is escaped.
  constexpr int kOnOneLine = -1;
  return {{"Software", made_by.at("program")},
          {kKeyword, made_by.dump(kOnOneLine, ' ', true, OrderedJson::error_handler_t::replace)}};
}

OrderedJson read_made_by(const std::filesystem::path& path) {
  const std::vector<PngText> texts = read_png_texts(path);
  const auto found = std::ranges::find(texts, kKeyword, &PngText::keyword);
  if (found == texts.end())
    throw Error(
        fmt::format("{}: does not say how it was made; combiner writes that into a PNG "
                    "unless it is given --no-metadata",
                    path.string()));
  constexpr auto kNoExceptions = false;
  // Printing goes down into what is nested, and a million levels would not fit on the stack.
  constexpr int kMostLevels = 16;
  const auto is_shallow = [](int level, OrderedJson::parse_event_t, const OrderedJson&) {
    return level < kMostLevels;
  };
  OrderedJson json = OrderedJson::parse(found->text, is_shallow, kNoExceptions);
  if (!json.is_object()) throw malformed(path, "it is not a JSON object");
  return json;
}

Recipe read_recipe(const std::filesystem::path& path) {
  const OrderedJson json = read_made_by(path);
  try {
    return from_json(json);
  } catch (const OrderedJson::exception& error) {
    throw malformed(path, reason(error));
  } catch (const Error& error) {
    throw malformed(path, error.what());
  }
}

std::string program_name() { return "combiner " COMBINER_VERSION; }

}  // namespace combiner

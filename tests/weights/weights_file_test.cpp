#include "weights/weights_file.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "model/random_model.h"
#include "temp_folder.h"
#include "tensor/int8_row.h"

namespace combiner {
namespace {

ModelConfig stem_config() {
  ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 2, 3);
  config.num_layers = 1;
  config.attention = {Attention::axial_rowmajor};
  config.stem = StemShape{2, 3};
  return config;
}

Weights small_weights() {
  Random random(1);
  return random_weights(stem_config(), random);
}

// The contents of a weights file, which tests modify and write again.
struct Parts {
  struct Tensor {
    DType dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> data;
  };
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;

  // The contents of a file of small_weights.
  static Parts small(DType dtype = DType::f32) {
    const TempFolder folder;
    save_weights(small_weights(), dtype, folder / "small", {{"note", "kept"}});
    const SafetensorsFile file = SafetensorsFile::open(folder / "small");
    Parts parts;
    parts.metadata = file.metadata();
    for (const TensorView& t : file.tensors())
      parts.tensors[t.name] = {t.dtype, t.shape, {t.data.begin(), t.data.end()}};
    return parts;
  }

  void write(const std::filesystem::path& path) const {
    std::vector<TensorView> views;
    for (const auto& [name, tensor] : tensors)
      views.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    write_safetensors(path, metadata, views);
  }

  void set(const std::string& tensor, size_t index, float value) {
    std::memcpy(tensors.at(tensor).data.data() + index * sizeof value, &value, sizeof value);
  }
};

// The Error of load_weights for the small file after a change.
std::string load_error(const std::function<void(Parts&)>& change, DType dtype = DType::f32) {
  Parts parts = Parts::small(dtype);
  change(parts);
  const TempFolder folder;
  const std::filesystem::path path = folder / "changed.safetensors";
  parts.write(path);
  const std::string error = error_of([&] { load_weights(path); });
  CHECK_THAT(error, contains(path.string() + ": "));
  return error;
}

bool same_values(const Weights& a, const Weights& b) {
  return a.config == b.config &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(), b.values.end());
}

TEST_CASE("Weights saved as F32 load unchanged") {
  const TempFolder folder;
  const Weights weights = small_weights();
  save_weights(weights, DType::f32, folder / "w", {{"note", "kept"}});
  CHECK(same_values(load_weights(folder / "w"), weights));
  CHECK(SafetensorsFile::open(folder / "w").metadata().at("note") == "kept");
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel})
    for (const Attention attention : kAttentions) {
      Random random(2);
      const Weights other = random_weights(small_config(tokens, attention, 3, 2), random);
      save_weights(other, DType::f32, folder / "w");
      CHECK(same_values(load_weights(folder / "w"), other));
    }
}

TEST_CASE("Weights saved as BF16 load rounded and don't change when saved again") {
  const TempFolder folder;
  Weights weights = small_weights();
  save_weights(weights, DType::bf16, folder / "w");
  const Weights loaded = load_weights(folder / "w");
  CHECK(!same_values(loaded, weights));
  for (float& value : weights.values) value = to_float(to_bfloat16(value));
  CHECK(same_values(loaded, weights));
  save_weights(loaded, DType::bf16, folder / "again");
  CHECK(same_values(load_weights(folder / "again"), loaded));
  CHECK(std::filesystem::file_size(folder / "w") < 2 * weights.values.size() + 10'000);
}

// Rounds the rows of dense weights as quantize_row does. Leaves the rest unchanged: tables,
// vectors, and the layers that make logits.
Weights rounded_to_int8(const Weights& weights) {
  Weights rounded(weights.config);
  rounded.values = weights.values.clone();
  for (const Parameter& parameter : weights.parameters.list) {
    const std::string& name = parameter.name;
    const bool is_head = name.starts_with("head.") && !name.ends_with("hidden.weight");
    if (parameter.shape.size() == 1 || is_head || name.starts_with("embed.")) continue;
    const size_t in = parameter.size / static_cast<size_t>(parameter.shape[0]);
    std::vector<int8_t> quantized(in);
    for (size_t first = parameter.offset; first < parameter.offset + parameter.size; first += in) {
      const float scale = quantize_row(weights.values.span().subspan(first, in), quantized);
      for (size_t i = 0; i < in; ++i)
        rounded.values[first + i] = static_cast<float>(quantized[i]) * scale;
    }
  }
  return rounded;
}

TEST_CASE("Weights saved as I8 load rounded and don't change when saved again") {
  const TempFolder folder;
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel})
    for (const Attention attention : {Attention::axial_rowmajor, Attention::fixed}) {
      Random random(3);
      const Weights weights = random_weights(small_config(tokens, attention, 3, 2), random);
      save_weights(weights, DType::i8, folder / "w", {{"note", "kept"}});
      const Weights loaded = load_weights(folder / "w");
      CHECK(!same_values(loaded, weights));
      CHECK(same_values(loaded, rounded_to_int8(weights)));
      save_weights(loaded, DType::i8, folder / "again", {{"note", "kept"}});
      CHECK(read_text(folder / "again") == read_text(folder / "w"));
    }
}

TEST_CASE("An I8 file has scales beside its I8 tensors, and stores the rest exactly") {
  const TempFolder folder;
  const auto dtype = [&](const std::string& tensor) {
    return SafetensorsFile::open(folder / "w").find(tensor)->dtype;
  };
  Weights weights = small_weights();
  save_weights(weights, DType::i8, folder / "w");
  CHECK(dtype("embed.previous.0.weight") == DType::f32);
  CHECK(dtype("norm.bias") == DType::f32);

  for (float& value : weights.values) value = to_float(to_bfloat16(value));
  save_weights(weights, DType::i8, folder / "w");
  CHECK(dtype("embed.previous.0.weight") == DType::bf16);
  CHECK(dtype("head.embed.1.weight") == DType::bf16);
  CHECK(dtype("head.2.output.weight") == DType::bf16);
  CHECK(dtype("embed.position.row.weight") == DType::bf16);
  CHECK(dtype("norm.bias") == DType::bf16);

  const SafetensorsFile file = SafetensorsFile::open(folder / "w");
  size_t quantized = 0;
  for (const TensorView& tensor : file.tensors()) {
    if (tensor.dtype != DType::i8) continue;
    ++quantized;
    const TensorView* scale = file.find(tensor.name + ".scale");
    REQUIRE(scale);
    CHECK(scale->dtype == DType::f32);
    CHECK(scale->shape == std::vector<int64_t>{tensor.shape[0]});
  }
  CHECK(quantized == 6 + 2 + 3);  // attention, mlp, the heads' hidden layers
  CHECK(file.find("embed.stem.weight")->dtype == DType::bf16);
  CHECK(file.find("embed.stem.weight")->shape == std::vector<int64_t>{12, 4, 2, 3});
  CHECK(file.tensors().size() == weights.parameters.list.size() + quantized);
}

TEST_CASE("Scales that don't match their I8 tensors are named") {
  const std::string query = "blocks.0.attention.query.weight", scale = query + ".scale";
  const auto error = [](const std::function<void(Parts&)>& change) {
    return load_error(change, DType::i8);
  };
  CHECK_THAT(error([&](Parts& p) { p.tensors.erase(scale); }),
             contains("tensor " + scale + " is missing, expected with shape [12] beside " + query));
  CHECK_THAT(error([&](Parts& p) {
               p.tensors.at(scale).shape = {12, 1};
             }),
             contains("tensor " + scale + " has shape [12, 1], expected [12]"));
  CHECK_THAT(error([&](Parts& p) { p.tensors.at(scale).dtype = DType::i32; }),
             contains("tensor " + scale + " is of dtype I32, expected F32"));
  CHECK_THAT(error([&](Parts& p) {
               p.tensors.at(query) = {DType::f32, {12, 12}, std::vector<std::byte>(4 * 144)};
             }),
             contains("tensor " + scale + " is one too many: " + query + " is F32"));
  CHECK_THAT(error([&](Parts& p) { p.tensors.erase(query); }),
             contains("tensor " + query + " is missing") &&
                 contains("tensor " + scale + " is one too many: " + query + " is missing"));
  CHECK_THAT(error([&](Parts& p) { p.tensors["norm.weight.scale"] = p.tensors.at("norm.weight"); }),
             contains("tensor norm.weight.scale [12] is unknown to this config"));
  CHECK_THAT(error([&](Parts& p) {
               p.tensors["norm.weight.scale"] = p.tensors.at("norm.weight");
               p.tensors.at("norm.weight") = {DType::i8, {12}, std::vector<std::byte>(12)};
             }),
             contains("tensor norm.weight is of dtype I8, expected F32, BF16 or F16") &&
                 contains("quantize the model again") && !contains("unknown"));
}

TEST_CASE("Scales that are negative or not finite are named") {
  const auto error = [](float value) {
    return load_error([&](Parts& p) { p.set("blocks.0.mlp.up.weight.scale", 3, value); },
                      DType::i8);
  };
  for (const auto& [value, text] : {std::pair(-0.5f, "-0.5"), std::pair(NAN, "nan"),
                                    std::pair(HUGE_VALF, "inf"), std::pair(-HUGE_VALF, "-inf")})
    CHECK_THAT(error(value), contains(std::string("tensor blocks.0.mlp.up.weight.scale is ") +
                                      text + " at element 3 of 20"));
  // The product of scale and weight overflows.
  CHECK_THAT(error(1e38f), contains("tensor blocks.0.mlp.up.weight is") && contains("inf"));
}

TEST_CASE("F16 tensors load") {
  Parts parts = Parts::small();
  Parts::Tensor& bias = parts.tensors.at("norm.bias");
  bias.dtype = DType::f16;
  bias.data.assign(bias.data.size() / 2, std::byte{0});
  bias.data[1] = std::byte{0xc1};  // -2.5
  const TempFolder folder;
  parts.write(folder / "w");
  const Weights weights = load_weights(folder / "w");
  CHECK(weights.values[weights.parameters.head.norm.bias] == -2.5f);
  CHECK(weights.values[weights.parameters.head.norm.bias + 1] == 0.0f);
}

TEST_CASE("Tensors that don't match the config are named, with both shapes") {
  CHECK_THAT(load_error([](Parts& p) { p.tensors.erase("blocks.0.attention.query.weight"); }),
             contains("tensor blocks.0.attention.query.weight is missing, expected with shape "
                      "[12, 12]"));
  CHECK_THAT(
      load_error([](Parts& p) { p.tensors["blocks.1.norm1.bias"] = p.tensors["norm.bias"]; }),
      contains("tensor blocks.1.norm1.bias [12] is unknown to this config"));
  CHECK_THAT(load_error([](Parts& p) {
               p.tensors.at("norm.bias").shape = {3, 4};
             }),
             contains("tensor norm.bias has shape [3, 4], expected [12]"));
  CHECK_THAT(load_error([](Parts& p) {
               p.tensors.at("head.2.output.weight").shape = {12, 256};
             }),
             contains("tensor head.2.output.weight has shape [12, 256], expected [256, 12]"));

  // One message lists all of them, up to a limit.
  const std::string both = load_error([](Parts& p) {
    p.tensors.erase("norm.weight");
    p.tensors.at("norm.bias").shape = {1, 12};
  });
  CHECK_THAT(both, contains("tensor norm.weight is missing, expected with shape [12]; tensor "
                            "norm.bias has shape [1, 12], expected [12]"));
  CHECK_THAT(load_error([](Parts& p) { p.tensors.clear(); }),
             contains("embed.previous.0.weight is missing") && contains("and 33 more"));
}

TEST_CASE("Weights that are not finite are named") {
  CHECK_THAT(load_error([](Parts& p) { p.set("blocks.0.mlp.up.bias", 3, NAN); }),
             contains("tensor blocks.0.mlp.up.bias is nan at element 3 of 20"));
  CHECK_THAT(load_error([](Parts& p) { p.set("embed.above.1.weight", 0, HUGE_VALF); }),
             contains("tensor embed.above.1.weight is inf at element 0 of 3084"));
  CHECK_THAT(load_error([](Parts& p) { p.set("head.embed.1.weight", 256 * 12 - 1, -HUGE_VALF); }),
             contains("tensor head.embed.1.weight is -inf at element 3071 of 3072"));
}

TEST_CASE("A stem that would see the predicted pixel is refused") {
  // The window is 2 x 3. Taps 4 (the pixel itself) and 5 (the next one) are masked; tap 3 is before
  // it.
  CHECK_THAT(load_error([](Parts& p) { p.set("embed.stem.weight", 4, 0.5f); }),
             contains("tensor embed.stem.weight is 0.5 at window row 1, column 1, expected 0"));
  CHECK_THAT(load_error([](Parts& p) { p.set("embed.stem.weight", 12 * 24 - 1, -1.0f); }),
             contains("tensor embed.stem.weight is -1 at window row 1, column 2, expected 0"));

  Parts parts = Parts::small();
  parts.set("embed.stem.weight", 3, 0.5f);
  parts.set("embed.stem.weight", 5, -0.0f);
  const TempFolder folder;
  parts.write(folder / "w");
  CHECK_NOTHROW(load_weights(folder / "w"));
}

TEST_CASE("A tensor of a type that weights can't have is named") {
  CHECK_THAT(load_error([](Parts& p) { p.tensors.at("norm.weight").dtype = DType::i32; }),
             contains("norm.weight") && contains("is of dtype I32; expected F32, F16 or BF16"));
}

TEST_CASE("A file without a valid config is refused") {
  CHECK_THAT(load_error([](Parts& p) { p.metadata.erase("config"); }),
             contains("no model config: the file's metadata has no key \"config\""));
  CHECK_THAT(load_error([](Parts& p) { p.metadata.clear(); }), contains("no model config"));
  CHECK_THAT(load_error([](Parts& p) { p.metadata["config"] = "{"; }), contains("config"));
  const auto replaced = [](const std::string& from, const std::string& to) {
    return load_error([&](Parts& p) {
      std::string& config = p.metadata.at("config");
      REQUIRE(config.find(from) != std::string::npos);
      config.replace(config.find(from), from.size(), to);
    });
  };
  CHECK_THAT(replaced("\"mlp_dim\":20", "\"mlp_dim\":20,\"dropout\":0"),
             contains("unknown config field \"dropout\""));
  CHECK_THAT(replaced("\"num_heads\":2", "\"num_heads\":5"),
             contains("config field \"num_heads\" is 5; expected a divisor of embed_dim"));
  CHECK_THAT(replaced("\"mlp_dim\":20", "\"mlp_dim\":21"),
             contains("tensor blocks.0.mlp.up.weight has shape [20, 12], expected [21, 12]"));
}

// A config may claim any size, so the tensors are checked before memory for them is allocated.
TEST_CASE("A config far larger than its file is refused like any other") {
  CHECK_THAT(load_error([](Parts& p) {
               ModelConfig config = stem_config();
               config.embed_dim = config.mlp_dim = 16384;
               config.num_layers = 1024;
               config.attention.assign(1024, Attention::axial_rowmajor);
               p.metadata["config"] = to_json(config);
             }),
             contains("tensor embed.previous.0.weight has shape [257, 12], expected [257, 16384]"));
}

TEST_CASE("A path that isn't a file, or not a safetensors file, is refused") {
  const TempFolder folder;
  CHECK_THAT(error_of([&] { load_weights(folder / "absent"); }), contains("absent"));
  CHECK_THAT(error_of([&] { load_weights(folder.path()); }), contains(folder.path().string()));
  CHECK_THAT(error_of([&] { load_weights(write_text(folder / "text", "no weights")); }),
             contains("text: "));
}

TEST_CASE("A truncated weights file is refused") {
  const TempFolder folder;
  save_weights(small_weights(), GENERATE(DType::bf16, DType::i8), folder / "whole");
  const std::string whole = read_text(folder / "whole");
  size_t accepted = 0;
  for (size_t size = 0; size < whole.size(); size += size < 5000 ? 1 : 977)
    if (error_of([&] { load_weights(write_text(folder / "cut", whole.substr(0, size))); }) ==
        "no Error was thrown")
      ++accepted;
  CHECK(accepted == 0);
}

TEST_CASE("Weights with any byte changed are refused") {
  const TempFolder folder;
  save_weights(small_weights(), GENERATE(DType::f32, DType::bf16, DType::i8), folder / "whole");
  const std::string whole = read_text(folder / "whole");
  CHECK_NOTHROW(load_weights(folder / "whole"));
  size_t accepted = 0;
  for (size_t at = 0; at < whole.size(); at += at < 3000 ? 1 : 97)
    for (const int change : {1, 32, 255}) {
      std::string text = whole;
      text[at] = static_cast<char>(text[at] ^ change);
      if (error_of([&] { load_weights(write_text(folder / "changed", text)); }) ==
          "no Error was thrown")
        ++accepted;
    }
  CHECK(accepted == 0);
}

TEST_CASE("What weights would replace is told: nothing, weights, damaged ones, or another file") {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  CHECK(weights_at(path) == WeightsThere::no);
  CHECK(weights_at("/dev/null") == WeightsThere::no);
  write_text(path, "");
  CHECK(weights_at(path) == WeightsThere::no);
  save_weights(small_weights(), DType::bf16, path);
  CHECK(weights_at(path) == WeightsThere::yes);
  const std::string weights = read_text(path);
  write_text(path, weights.substr(0, weights.size() / 2));
  CHECK(weights_at(path) == WeightsThere::damaged);

  const auto refuses = [&](const std::string& part) {
    CHECK_THAT(error_of([&] { weights_at(path); }),
               contains(part) && contains("it would be overwritten; choose another name"));
  };
  write_text(path, "a letter");
  refuses("is not a safetensors file");
  for (const char* config : {"", R"({"hidden": 12})"}) {
    write_safetensors(path, {{"from", "another program"}, {"config", config}}, {});
    refuses("is not a model's weights");
  }
  const Metadata checkpoint = {{"config", to_json(stem_config())},
                               {"format", "combiner-checkpoint-1"}};
  write_safetensors(path, checkpoint, {});
  refuses("is not a model's weights");
  write_text(path, read_text(path) + "more");
  refuses("trailing bytes");
}

TEST_CASE("Weights that can't be saved leave nothing behind") {
  const TempFolder folder;
  const std::filesystem::path absent = folder / "absent/w.safetensors";
  CHECK_THAT(error_of([&] { save_weights(small_weights(), DType::f32, absent); }),
             contains(absent.string()));

  ModelConfig config = stem_config();
  config.vocab_size = 17;
  CHECK_THAT(error_of([&] { save_weights(Weights(config), DType::f32, folder / "w"); }),
             contains("vocab_size of 17 can't be written"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace combiner

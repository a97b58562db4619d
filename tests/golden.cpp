// Checks the forward pass against golden files of the authors' layers. There is one safetensors
// file per case, with the weights under their Flax names, tokens, logits and nats, and with the
// shape of the model in the metadata.
//
//   golden FILE...|DIR...
//
// Prints a line per file: the relative error of the logits (norm of the difference over norm), the
// largest error of a token's nats, and ok or FAIL. Exits with 1 if any case fails or a file can't
// be used.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

#include "combiner/error.h"
#include "combiner/model.h"
#include "model/model.h"
#include "weights/safetensors.h"
#include "worse.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// The project's requirement for single precision, in the norm of all logits.
constexpr double kLogitTolerance = 1e-5;
// Nats are differences between logits and their log-sum-exp, each with a magnitude of a few units.
constexpr double kNatsTolerance = 1e-4;

class GoldenFile {
 public:
  explicit GoldenFile(const fs::path& path) : file_(SafetensorsFile::open(path)) {}

  std::string text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) throw Error(fmt::format("metadata has no {}", key));
    return found->second;
  }
  int number(const std::string& key) const {
    try {
      return std::stoi(text(key));
    } catch (const std::logic_error&) {
      throw Error(fmt::format("metadata {} is '{}', expected a number", key, text(key)));
    }
  }
  const TensorView& tensor(const std::string& name) const {
    const TensorView* found = file_.find(name);
    if (!found) throw Error(fmt::format("tensor {} is missing", name));
    return *found;
  }
  std::vector<float> floats(const std::string& name) const {
    const TensorView& view = tensor(name);
    std::vector<float> values(static_cast<size_t>(view.elements()));
    to_floats(view, values);
    return values;
  }
  const std::vector<TensorView>& tensors() const { return file_.tensors(); }

 private:
  SafetensorsFile file_;
};

ModelConfig golden_config(const GoldenFile& file) {
  const auto expect = [&](const char* key, const std::string& value) {
    if (file.text(key) != value)
      throw Error(fmt::format("metadata {} is {}, expected {}", key, file.text(key), value));
  };
  expect("activation", "relu");
  expect("position", "sinusoidal");
  ModelConfig config;
  config.image = {file.number("rows"), file.number("cols"), 1};
  config.tokens = Tokens::subpixel;
  config.embed_dim = file.number("emb_dim");
  config.num_layers = file.number("num_layers");
  config.num_heads = file.number("num_heads");
  config.mlp_dim = file.number("mlp_dim");
  const std::optional<Attention> attention = attention_named(file.text("attention"));
  if (!attention)
    throw Error(fmt::format("attention {} is not one this program has", file.text("attention")));
  config.attention.assign(static_cast<size_t>(config.num_layers), *attention);
  config.activation = Activation::relu;
  config.position = Position::sinusoidal;
  config.norm_epsilon = std::stod(file.text("norm_epsilon"));
  config.start_token = file.number("start_token");
  config.vocab_size = file.number("vocab_size");
  validate(config, "metadata");
  return config;
}

// Fills the weights from the file's tensors and counts the parameters it uses.
class Importer {
 public:
  Importer(const GoldenFile& file, Weights& weights) : file_(file), weights_(weights) {}

  // Copies a vector or a table unchanged.
  void copy(const std::string& from, size_t offset, size_t size) {
    const std::vector<float> values = take(from, size);
    std::copy(values.begin(), values.end(), weights_.values.data() + offset);
  }
  // Converts a dense kernel [in..., out...] to [out, in].
  void transpose(const std::string& from, size_t offset, size_t out, size_t in) {
    const std::vector<float> values = take(from, out * in);
    for (size_t o = 0; o < out; ++o)
      for (size_t i = 0; i < in; ++i) weights_.values[offset + o * in + i] = values[i * out + o];
  }
  void finish() const {
    if (taken_ != file_params())
      throw Error(fmt::format("{} parameters in the file, {} used", file_params(), taken_));
  }

 private:
  std::vector<float> take(const std::string& from, size_t size) {
    ++taken_;
    std::vector<float> values = file_.floats("params/" + from);
    if (values.size() != size)
      throw Error(fmt::format("{} has {} elements, expected {}", from, values.size(), size));
    return values;
  }
  size_t file_params() const {
    return static_cast<size_t>(
        std::count_if(file_.tensors().begin(), file_.tensors().end(),
                      [](const TensorView& t) { return t.name.starts_with("params/"); }));
  }

  const GoldenFile& file_;
  Weights& weights_;
  size_t taken_ = 0;
};

// The Flax scope of a variant's parameters in the authors' layers.
std::string flax_scope(Attention attention) {
  switch (attention) {
    case Attention::axial_rowmajor:
      return "_SelfAttAxialRowmajor_0/";
    case Attention::axial_vertical:
    case Attention::axial_horizontal:
    case Attention::axial_mixture:
      return "_AxialMixtureAtt_0/";
    case Attention::fixed:
      return "_SelfAttSqrtn_0/";
    case Attention::logsparse:
      return "_SelfAttLogn_0/";
    default:
      throw Error(fmt::format("the authors have no layers of attention {}", name(attention)));
  }
}

void import_weights(const GoldenFile& file, Weights& weights) {
  const ModelConfig& config = weights.config;
  const auto dim = static_cast<size_t>(config.embed_dim);
  const auto mlp = static_cast<size_t>(config.mlp_dim);
  const auto vocab = static_cast<size_t>(config.vocab_size);
  Importer importer(file, weights);
  const auto norm = [&](const std::string& scope, const NormParameters& to) {
    importer.copy(scope + "/scale", to.weight, dim);
    importer.copy(scope + "/bias", to.bias, dim);
  };
  const Parameters& p = weights.parameters;
  importer.copy("Embed_0/embedding", p.embedding.token, vocab * dim);
  for (size_t i = 0; i < p.blocks.size(); ++i) {
    const BlockParameters& block = p.blocks[i];
    const std::string layer = fmt::format("AutoregTransformer_0/transformer_layer_{}/", i);
    norm(layer + "LayerNorm_0", block.attention.norm);
    norm(layer + "LayerNorm_1", block.mlp.norm);
    const std::string attention = layer + flax_scope(config.attention[i]);
    const size_t query = block.attention.query_key_value.weight;
    importer.transpose(attention + "query/kernel", query, dim, dim);
    importer.transpose(attention + "key/kernel", query + dim * dim, dim, dim);
    importer.transpose(attention + "value/kernel", query + 2 * dim * dim, dim, dim);
    const size_t output = block.attention.output.weight;
    if (const auto& summary = block.attention.summary) {
      importer.transpose(attention + "DenseGeneral_0/kernel", summary->output.weight, dim, dim);
      norm(attention + "LayerNorm_0", summary->norm);
      importer.transpose(attention + "DenseGeneral_1/kernel", summary->key.weight, dim, dim);
      importer.transpose(attention + "DenseGeneral_2/kernel", output, dim, dim);
    } else {
      importer.transpose(attention + "DenseGeneral_0/kernel", output, dim, dim);
    }
    importer.transpose(layer + "MlpBlock_0/Dense_0/kernel", block.mlp.up.weight, mlp, dim);
    importer.copy(layer + "MlpBlock_0/Dense_0/bias", *block.mlp.up.bias, mlp);
    importer.transpose(layer + "MlpBlock_0/Dense_1/kernel", block.mlp.down.weight, dim, mlp);
    importer.copy(layer + "MlpBlock_0/Dense_1/bias", *block.mlp.down.bias, dim);
  }
  norm("AutoregTransformer_0/LayerNorm_0", p.head.norm);
  importer.transpose("AutoregTransformer_0/Dense_0/kernel", p.head.output[0].weight, vocab, dim);
  importer.copy("AutoregTransformer_0/Dense_0/bias", *p.head.output[0].bias, vocab);
  importer.finish();
}

struct Errors {
  double logits;  // norm of the difference over the norm
  double nats;    // the largest
};

Errors compare(const fs::path& path) {
  const GoldenFile file(path);
  Weights weights(golden_config(file));
  import_weights(file, weights);
  const ModelConfig& config = weights.config;
  const Model model(weights.clone(), Precision::f32, 1);
  ImageScorer forward(model);

  const TensorView& tokens = file.tensor("golden/tokens");
  if (tokens.dtype != DType::i32) throw Error("golden/tokens is not I32");
  const auto length = static_cast<size_t>(config.positions());
  const auto vocab = static_cast<size_t>(config.vocab_size);
  const auto count = static_cast<size_t>(tokens.elements());
  const std::vector<float> golden_logits = file.floats("golden/logits");
  const std::vector<float> golden_nats = file.floats("golden/nll_nats");
  if (count == 0 || count % length != 0 || golden_logits.size() != count * vocab ||
      golden_nats.size() != count)
    throw Error("golden tensors' sizes do not fit each other");

  double difference = 0, norm = 0, worst_nats = 0;
  std::vector<uint8_t> image(length);
  std::vector<float> logits(length * vocab), nats(length);
  for (size_t first = 0; first < count; first += length) {
    for (size_t t = 0; t < length; ++t) {
      int32_t token;
      std::memcpy(&token, tokens.data.data() + (first + t) * sizeof token, sizeof token);
      if (token < 0 || token >= config.vocab_size)
        throw Error(fmt::format("token {} at {} is not below {}", token, first + t, vocab));
      image[t] = static_cast<uint8_t>(token);
    }
    forward.logits(image.data(), logits.data());
    forward.nll(image.data(), nats.data());
    for (size_t i = 0; i < logits.size(); ++i) {
      const double golden = golden_logits[first * vocab + i];
      difference += (logits[i] - golden) * (logits[i] - golden);
      norm += golden * golden;
    }
    for (size_t t = 0; t < length; ++t)
      worst_nats =
          worse(worst_nats, std::abs(static_cast<double>(nats[t]) - golden_nats[first + t]));
  }
  return {std::sqrt(difference / norm), worst_nats};
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: golden FILE...|DIR...\n");
    return 2;
  }
  std::vector<fs::path> paths;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      paths.emplace_back(argv[i]);
      continue;
    }
    std::vector<fs::path> inside;
    for (const fs::directory_entry& entry : fs::directory_iterator(argv[i]))
      if (entry.path().extension() == ".safetensors") inside.push_back(entry.path());
    std::sort(inside.begin(), inside.end());
    paths.insert(paths.end(), inside.begin(), inside.end());
  }
  bool good = !paths.empty();
  if (!good) fmt::print(stderr, "golden: no .safetensors files there\n");
  for (const fs::path& path : paths) {
    try {
      const Errors errors = compare(path);
      // This form makes a NaN fail.
      const bool ok = errors.logits < kLogitTolerance && errors.nats < kNatsTolerance;
      good = good && ok;
      fmt::print("{}: logits {:.2e} relative, nats {:.2e}: {}\n", path.filename().string(),
                 errors.logits, errors.nats, ok ? "ok" : "FAIL");
    } catch (const std::exception& error) {
      good = false;
      fmt::print("{}: FAIL: {}\n", path.filename().string(), error.what());
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace combiner

int main(int argc, char** argv) { return combiner::run(argc, argv); }

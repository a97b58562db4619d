// combiner serve: a page and an HTTP interface for programs (docs/http.md).

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/plural.h"
#include "base/read_file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/number_option.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/recipe.h"
#include "cli/sha256.h"
#include "cli/shipped_models.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "cpu/limits.h"
#include "image/check_size.h"
#include "sampling/memory.h"
#include "server/http_server.h"
#include "server/limits.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

struct ServeOptions {
  std::vector<std::string> models;
  std::string host = "127.0.0.1";
  int port = 8080;
  int threads = 1;
  std::optional<int64_t> max_images;
  int64_t queue = 256;
  std::string api_key_file;
};

void check(const ServeOptions& options) {
  if (options.api_key_file.empty() && !is_loopback(options.host))
    throw CLI::ValidationError(
        "--host", fmt::format("others can reach {}, so --api-key-file must say who may use it",
                              options.host));
}

// The first line of the file.
std::string read_key(const std::string& path) {
  constexpr uint64_t kMostBytes = 4096;
  constexpr size_t kFewest = 16;
  if (path.empty()) return {};
  const std::vector<uint8_t> bytes = read_file(path, kMostBytes);
  std::string key(bytes.begin(), bytes.end());
  key.resize(std::min(key.find_first_of("\r\n"), key.size()));
  const bool printable = std::ranges::all_of(key, [](char c) { return c > ' ' && c <= '~'; });
  if (key.size() < kFewest || !printable)
    throw Error(
        fmt::format("{}: its first line is not a key; expected {} or more characters of "
                    "printable ASCII without spaces, such as openssl rand -hex 32 makes",
                    path, kFewest));
  return key;
}

// Models are called by their files' names, without folder and extension.
std::vector<std::unique_ptr<ServedModel>> load_models(const ServeOptions& options) {
  std::vector<std::string> files = options.models;
  if (files.empty()) files.emplace_back();
  std::vector<std::unique_ptr<ServedModel>> models;
  for (const std::string& file : files) {
    const fs::path path = find_model(file);
    const std::string name = path.stem().string();
    for (const auto& other : models)
      if (other->name() == name)
        throw Error(fmt::format("{}: another model is called {} already; rename the file",
                                path.string(), name));
    auto model = std::make_unique<ServedModel>(
        name, path.filename().string(), sha256_of_file(path),
        Model::load(path, fastest_precision(Work::decoding), options.threads));
    if (model->config().image.channels != 3)
      throw Error(fmt::format("{}: its images have {} channels; expected 3", path.string(),
                              model->config().image.channels));
    models.push_back(std::move(model));
  }
  return models;
}

// As many as sample draws at once.
int64_t suggested_images(const std::vector<std::unique_ptr<ServedModel>>& models, int threads) {
  int64_t images = std::numeric_limits<int64_t>::max();
  for (const auto& model : models) {
    const SamplingMemory memory =
        sampling_memory(model->weights(), fastest_precision(Work::decoding));
    images = std::min<int64_t>(
        images, int64_t{threads} * suggested_batch(memory, threads, usable_memory()));
  }
  return images;
}

// What an image's PNG says: as that of combiner sample or complete.
std::vector<PngText> texts_of(const DrawnImage& image) {
  Recipe recipe{.program = program_name(),
                .command = image.keep_rows ? "complete" : "sample",
                .model = image.model.file(),
                .sha256 = image.model.sha256(),
                .seed = image.seed,
                .first = image.stream,
                .choice = image.choice,
                .precision = image.precision,
                .kernels = kernels_in_use(image.precision)};
  if (image.keep_rows) {
    recipe.keep_rows = *image.keep_rows;
    recipe.pictures = {"picture"};
  }
  return made_by_texts(to_json(recipe));
}

void run(const ServeOptions& options) {
  const std::string key = read_key(options.api_key_file);
  limit_pixels(kMaxPicturePixels);
  auto models = load_models(options);
  // Packed now, so that the first request need not wait for it.
  for (const auto& model : models) model->at(fastest_precision(Work::decoding), Work::decoding);
  const int64_t most_images =
      options.max_images.value_or(suggested_images(models, options.threads));
  const std::string names = plural(std::ssize(models), "model");
  Service service(std::move(models), {.threads = options.threads,
                                      .most_images = most_images,
                                      .most_jobs = options.queue,
                                      .texts = texts_of});
  HttpServer server(service, Guard(options.host, key));
  const int port = server.bind(options.host, options.port);
  const std::atomic<bool>& interrupted = catch_interrupts();
  const bool is_v6 = options.host.find(':') != std::string::npos;
  put("http://{}:{}/ serves {} with {}; Ctrl-C ends it\n",
      is_v6 ? "[" + options.host + "]" : options.host, port, names,
      plural(options.threads, "thread"));
  flush_output();
  std::thread serving([&] { server.serve(); });
  while (!interrupted && !server.has_served())
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  service.stop();
  server.stop();
  serving.join();
  if (!interrupted) throw Error("the system gives the server no more connections, so it ends");
  throw Interrupted("interrupted: what was being drawn is cancelled");
}

}  // namespace

Action serve_command(CLI::App& command) {
  const auto options = std::make_shared<ServeOptions>();
  command
      .add_option(
          "--model", options->models,
          "Weights file (.safetensors) or a name that combiner models lists, once or several "
          "times [cifar10]")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command.add_option("--host", options->host, "Address to listen at")
      ->type_name("ADDRESS")
      ->default_str(options->host);
  add_number(command, "--port", options->port, {0, 65535}, "Port to listen at; 0 is any free one");
  command
      .add_option("--api-key-file", options->api_key_file,
                  "File with the key that requests must carry; needed where others can reach "
                  "the address")
      ->type_name("FILE");
  add_number(
      command, "--max-images", options->max_images, {1, 1 << 20},
      fmt::format("Most images drawn at once, of all requests [{} for each thread, or as many "
                  "as fit in a quarter of the machine's memory]",
                  SampleOptions{}.batch));
  add_number(command, "--queue", options->queue, {1, 1 << 20},
             "Most jobs that wait or are computed; others are refused until one is done");
  add_threads_option(command, options->threads);
  command.parse_complete_callback([options] { check(*options); });
  return [options] { run(*options); };
}

}  // namespace combiner

#include "server/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <new>
#include <random>
#include <utility>

#include "codec/coded_file.h"
#include "codec/coded_pictures.h"
#include "combiner/completion.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "image/check_size.h"
#include "image/picture_format.h"
#include "image/read_image.h"
#include "image/resize.h"
#include "sampling/choice.h"
#include "server/coding_tasks.h"
#include "server/fault.h"
#include "server/likelihood_pieces.h"
#include "server/limits.h"

namespace combiner {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kMostFirst = int64_t{1} << 40;

// Has 32 bits, because readers of JSON whose numbers are doubles, as the page's, do not keep 64.
uint64_t random_seed() { return std::random_device()(); }

OrderedJson request_of(const ServedModel& model, Precision precision) {
  return {{"model", model.name()}, {"precision", name(precision)}};
}

void describe(const DrawingParameters& parameters, OrderedJson& request) {
  request["count"] = parameters.count;
  request["first"] = parameters.first;
  request["seed"] = parameters.seed;
  request["temperature"] = parameters.choice.temperature;
  request["top_k"] = parameters.choice.top_k;
  request["top_p"] = parameters.choice.top_p;
}

}  // namespace

Service::Service(std::vector<std::unique_ptr<ServedModel>> models, ServiceOptions options)
    : models_(std::move(models)),
      options_(std::move(options)),
      board_(options_.most_jobs),
      engine_(options_.threads, options_.most_images) {}

OrderedJson Service::models() const {
  OrderedJson list = OrderedJson::array();
  for (const auto& model : models_) {
    const ModelConfig& config = model->config();
    list.push_back({{"name", model->name()},
                    {"sha256", model->sha256()},
                    {"width", config.image.width},
                    {"height", config.image.height},
                    {"parameters", model->weights().parameters.size},
                    {"precision", name(fastest_precision(Work::decoding))}});
  }
  return {{"models", list}, {"instructions", instructions_in_use()}};
}

const ServedModel& Service::model_named(const std::optional<std::string>& name) const {
  if (!name) return *models_.front();
  const auto found =
      std::ranges::find(models_, *name, [](const auto& model) { return model->name(); });
  if (found == models_.end())
    throw Fault(404, "no_model", fmt::format("there is no model {}", shown(Json(*name))),
                "GET /v1/models lists those that were named with --model");
  return **found;
}

DrawingParameters Service::drawing_parameters(const Fields& fields, int64_t default_count) const {
  DrawingParameters parameters;
  parameters.count = fields.integer("count", 1, kMaxImagesPerJob).value_or(default_count);
  parameters.first = fields.integer("first", 0, kMostFirst).value_or(0);
  parameters.seed = fields.seed("seed").value_or(random_seed());
  ChoiceOptions& choice = parameters.choice;
  choice.temperature = fields.number("temperature").value_or(choice.temperature);
  choice.top_k = static_cast<int>(fields.integer("top_k", 1, 256).value_or(choice.top_k));
  choice.top_p = fields.number("top_p").value_or(choice.top_p);
  validate(choice);
  return parameters;
}

// One at a time, so that however many requests come, the memory is that of one large picture.
Image Service::decode(const std::vector<uint8_t>& bytes, const std::string& source) const {
  if (!is_picture(bytes))
    throw Fault(422, "no_picture", fmt::format("{}: is not a picture", source),
                "send a file such as a PNG or JPEG, in base64");
  const std::lock_guard lock(decoding_);
  require_running();
  try {
    return decode_image(bytes, source);
  } catch (const TooLarge& error) {
    throw Fault(413, "too_large", error.what(), "make it smaller first");
  } catch (const Error& error) {
    throw Fault(422, "no_picture", error.what(),
                "send a whole file of 8 bits a sample, without transparency");
  }
}

// A picture of the model's size.
Image Service::decode_to_fit(const std::vector<uint8_t>& bytes, const std::string& source,
                             bool resize, const ModelConfig& config) const {
  Image image = decode(bytes, source);
  const auto [height, width, channels] = config.image;
  if (image.width == width && image.height == height) return image;
  if (resize) return resize_to(image, width, height);
  throw Fault(422, "wrong_size",
              fmt::format("{}: is {}x{} pixels; expected {}x{}, the model's size", source,
                          image.width, image.height, width, height),
              "with \"resize\": true, pictures are centre-cropped and resampled");
}

// An estimate of the time until an image that waits is done.
int Service::retry_after() const {
  const EngineLoad load = engine_.load();
  const double seconds_per_image =
      load.images > 0 ? load.busy_seconds / static_cast<double>(load.images) : 1;
  return static_cast<int>(std::clamp(std::ceil(seconds_per_image), 1.0, 60.0));
}

void Service::require_running() const {
  if (stopping_) throw Fault(503, "stopping", "the server is about to end", "start it again", 1);
}

// Adds a job and begins it. One that can't begin, such as for lack of memory, has failed.
template <class Begin>
std::shared_ptr<Job> Service::start(JobDescription description, const Begin& begin) {
  std::shared_ptr<Job> job = add(std::move(description));
  try {
    begin(job);
  } catch (const std::bad_alloc&) {
    job->fail("not enough memory");
    throw;
  } catch (const std::exception& error) {
    job->fail(error.what());
    throw;
  }
  return job;
}

std::shared_ptr<Job> Service::add(JobDescription description) {
  require_running();
  try {
    std::shared_ptr<Job> job = board_.add(std::move(description), retry_after());
    ++jobs_;
    if (stopping_) job->cancel();  // stop() may not have seen it
    return job;
  } catch (const Fault&) {
    ++refused_;
    throw;
  }
}

std::shared_ptr<Job> Service::samples(const std::string& body) {
  const Json json = parse_body(body);
  const Fields fields(
      json, {"model", "count", "first", "seed", "temperature", "top_k", "top_p", "precision"});
  return draw(fields, false);
}

std::shared_ptr<Job> Service::completions(const std::string& body) {
  const Json json = parse_body(body);
  const Fields fields(json, {"model", "picture", "keep_rows", "resize", "count", "first", "seed",
                             "temperature", "top_k", "top_p", "precision"});
  return draw(fields, true);
}

// Completions are samples that begin with rows of a picture.
std::shared_ptr<Job> Service::draw(const Fields& fields, bool completes) {
  constexpr int64_t kDefaultVariations = 4;
  const ServedModel& model = model_named(fields.text("model"));
  const ImageShape& shape = model.config().image;
  const DrawingParameters parameters =
      drawing_parameters(fields, completes ? kDefaultVariations : 1);
  const Precision precision =
      fields.precision("precision").value_or(fastest_precision(Work::decoding));
  std::optional<int> keep_rows;
  Image picture;
  if (completes) {
    keep_rows = static_cast<int>(fields.integer("keep_rows", 0, shape.height - 1).value_or(0));
    picture = decode_to_fit(fields.bytes("picture"), "picture",
                            fields.boolean("resize").value_or(false), model.config());
  }
  JobDescription description{.kind = completes ? "completions" : "samples",
                             .request = request_of(model, precision),
                             .images = parameters.count,
                             .width = shape.width};
  describe(parameters, description.request);
  if (keep_rows) description.request["keep_rows"] = *keep_rows;
  description.texts = [this, &model, precision, parameters, keep_rows](int64_t index) {
    return options_.texts({.model = model,
                           .precision = precision,
                           .seed = parameters.seed,
                           .stream = variation_stream(0, parameters.first + index),
                           .choice = parameters.choice,
                           .keep_rows = keep_rows});
  };
  const Model& packed = model.at(precision, Work::decoding);
  return start(std::move(description), [&](const std::shared_ptr<Job>& job) {
    draw_completions(engine_, packed, job, parameters, std::move(picture), keep_rows.value_or(0));
  });
}

std::shared_ptr<Job> Service::likelihoods(const std::string& body) {
  const Json json = parse_body(body);
  const Fields fields(json, {"model", "pictures", "resize", "precision"});
  const ServedModel& model = model_named(fields.text("model"));
  const Precision precision =
      fields.precision("precision").value_or(fastest_precision(Work::whole_images));
  const bool resize = fields.boolean("resize").value_or(false);
  std::vector<Image> pictures;
  for (const Json& data : fields.list("pictures", kMaxImagesPerJob)) {
    const std::string name = fmt::format("pictures[{}]", pictures.size());
    pictures.push_back(decode_to_fit(bytes_of(data, name), name, resize, model.config()));
  }
  const Model& packed = model.at(precision, Work::whole_images);
  return start({.kind = "likelihoods",
                .request = request_of(model, precision),
                .images = std::ssize(pictures)},
               [&](const std::shared_ptr<Job>& job) {
                 engine_.run(likelihood_pieces(packed, job, std::move(pictures)));
               });
}

std::shared_ptr<Job> Service::compress(const std::string& body) {
  const Json json = parse_body(body);
  const Fields fields(json, {"model", "pictures", "precision"});
  const ServedModel& model = model_named(fields.text("model"));
  const Precision precision = fields.precision("precision").value_or(Precision::f32);
  const Model& packed = model.at(precision, Work::decoding);
  const CodedHeader header = header_for(packed, model.file(), model.sha256());
  std::vector<Image> pictures;
  std::vector<CodedPicture> described;
  int64_t tiles = 0;
  for (const Json& item : fields.list("pictures", kMaxImagesPerJob)) {
    const std::string name = fmt::format("pictures[{}]", pictures.size());
    const Fields one(item, {"data", "name"}, name + ".");
    const Image& picture = pictures.emplace_back(decode(one.bytes("data"), name));
    described.push_back(
        {picture.width, picture.height, one.text("name").value_or(std::string()), std::nullopt});
    tiles += streams_of(described.back(), header);
    if (tiles > kMaxTilesPerJob)
      throw Fault(413, "too_large",
                  fmt::format("the pictures make more than {} tiles of {}x{} pixels",
                              kMaxTilesPerJob, header.width, header.height),
                  "divide them among several requests, or use combiner compress");
  }
  check_pictures(described);
  return start({.kind = "compress", .request = request_of(model, precision)},
               [&](const std::shared_ptr<Job>& job) {
                 pack(engine_, packed, job, header, std::move(described), pictures);
               });
}

std::shared_ptr<Job> Service::decompress(const std::string& body) {
  const Json json = parse_body(body);
  const Fields fields(json, {"model", "file"});
  const ServedModel& model = model_named(fields.text("model"));
  const auto too_large = [](const std::string& why) {
    return Fault(413, "too_large", why, "use combiner decompress");
  };
  const auto file = [&] {
    try {
      return std::make_shared<OpenFile>(fields.bytes("file"), "file", kMaxTilesPerJob);
    } catch (const TooLarge& error) {
      throw too_large(error.what());
    }
  }();
  CodedFile& coded = file->coded;
  const CodedHeader& header = coded.header();
  const auto refuse = [](const std::string& why) { throw Error("file: " + why); };
  check_model(coded, model.name(), model.sha256(), "name the model that it was made with");
  if (header.width != model.config().image.width || header.height != model.config().image.height)
    refuse("its streams are not of the model's size");
  if (coded.pictures().empty()) refuse("holds no pictures");
  if (coded.streams() > kMaxTilesPerJob)
    throw too_large(
        fmt::format("file: holds {} tiles; expected at most {}", coded.streams(), kMaxTilesPerJob));
  for (size_t i = 0; i < coded.pictures().size(); ++i)
    if (!coded.is_whole(i)) refuse(fmt::format("picture {} is damaged", i));
  const Model& packed = model.at(header.precision, Work::decoding);
  return start({.kind = "decompress",
                .request = request_of(model, header.precision),
                .images = std::ssize(coded.pictures())},
               [&](const std::shared_ptr<Job>& job) { unpack(engine_, packed, job, file); });
}

void Service::cancel(Job& job) {
  if (job.cancel()) engine_.look_again();
}

std::string Service::png(const Job& job, int64_t index) const {
  const JobDescription& description = job.description();
  if (index >= description.images)
    throw Fault(404, "no_image",
                fmt::format("the job has no image {}; it has {}, counted from 0", index,
                            description.images));
  const std::optional<Image> image = job.image(index);
  if (!image)
    throw Fault(409, "not_finished",
                fmt::format("image {} is not finished; the job is {}", index, name(job.state())),
                job.ended() ? "it will not be" : "follow the job's events, or ask again later",
                job.ended() ? 0 : 1);
  const std::vector<std::byte> png =
      encode_png(*image, description.texts ? description.texts(index) : std::vector<PngText>());
  return {reinterpret_cast<const char*>(png.data()), png.size()};
}

std::string Service::metrics() const {
  const EngineLoad load = engine_.load();
  std::map<std::string, int64_t> states;
  for (const JobState state :
       {JobState::queued, JobState::running, JobState::done, JobState::failed, JobState::cancelled})
    states[name(state)] = 0;
  for (const auto& job : board_.all()) ++states[name(job->state())];
  std::string text;
  const auto add = [&](const char* name, const char* type, const char* help, auto value) {
    text += fmt::format("# HELP combiner_{0} {1}\n# TYPE combiner_{0} {2}\ncombiner_{0} {3}\n",
                        name, help, type, value);
  };
  add("images_total", "counter", "Images decoded.", load.images);
  add("images_active", "gauge", "Images being decoded.", load.active);
  add("work_waiting", "gauge", "Images and other pieces of work that wait.", load.waiting);
  add("busy_seconds_total", "counter", "Time that the engine has worked.", load.busy_seconds);
  add("jobs_total", "counter", "Jobs accepted.", jobs_.load());
  add("jobs_refused_total", "counter", "Jobs refused.", refused_.load());
  text += "# HELP combiner_jobs Jobs that are remembered.\n# TYPE combiner_jobs gauge\n";
  for (const auto& [state, count] : states)
    text += fmt::format("combiner_jobs{{state=\"{}\"}} {}\n", state, count);
  return text;
}

void Service::stop() {
  stopping_ = true;
  for (const auto& job : board_.all()) cancel(*job);
}

}  // namespace combiner

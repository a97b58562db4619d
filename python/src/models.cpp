#include "models.h"

#include <fmt/format.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <stdexcept>

#include "arrays.h"
#include "base/plural.h"
#include "base/thread_team.h"
#include "combiner/completion.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "combiner/sampler.h"
#include "cpu/limits.h"
#include "gil.h"
#include "likelihood/image_likelihood.h"
#include "module.h"
#include "sampling/memory.h"
#include "watched.h"

namespace combiner {
namespace py = pybind11;

Models::Models(const std::filesystem::path& path, std::optional<Precision> precision, int threads)
    : precision_(precision),
      threads_(threads),
      first_(Model::load(path, precision.value_or(fastest_precision(Work::decoding)), threads)) {}

const Model& Models::at(Precision precision) {
  if (precision == first_.precision()) return first_;
  const WithoutGil without_gil;  // before the lock: who has that never waits for the GIL
  const std::lock_guard lock(mutex_);
  const auto found = others_.find(precision);
  return found != others_.end() ? found->second
                                : others_.emplace(precision, first_.at(precision)).first->second;
}

int batch_for(const Model& model, int threads) {
  return suggested_batch(sampling_memory(model.weights(), model.precision()), threads,
                         usable_memory());
}

Precision precision_called(const std::string& name) {
  if (const auto precision = precision_named(name)) return *precision;
  throw std::invalid_argument(fmt::format("precision is '{}'; expected f32, bf16 or int8", name));
}

namespace {

std::unique_ptr<Models> load(const std::filesystem::path& path,
                             const std::optional<std::string>& precision, int threads) {
  std::optional<Precision> wanted;
  if (precision) wanted = precision_called(*precision);
  return without_gil([&] { return std::make_unique<Models>(path, wanted, threads); });
}

// How images are drawn, as Python passes it.
struct Drawn {
  int64_t count = 0;
  int64_t first = 0;
  uint64_t seed = 0;
  ChoiceOptions choice;
};

SampleOptions options_of(const Drawn& drawn, const Model& model, int threads) {
  return {.count = drawn.count,
          .first_index = drawn.first,
          .seed = drawn.seed,
          .choice = drawn.choice,
          .batch = batch_for(model, threads),
          .threads = threads};
}

// Writes the drawn image number `first` + i to place i of `pixels`.
SampleEvents events_for(Watched& watched, uint8_t* pixels, int64_t first, const ImageShape& shape) {
  const int64_t bytes = int64_t{3} * shape.width * shape.height;
  return {.row_done = [&watched](int64_t, int, std::span<const uint8_t>) { watched.add_done(); },
          .image_done =
              [=](int64_t index, const Image& image) {
                copy_pixels(image, pixels + (index - first) * bytes);
              },
          .cancel = watched.cancel()};
}

ByteArray sample_images(Models& models, const Drawn& drawn, py::object progress) {
  const Model& model = models.for_work(Work::decoding);
  const ImageShape& shape = models.config().image;
  ByteArray images({drawn.count, int64_t{shape.height}, int64_t{shape.width}, int64_t{3}});
  Watched watched(std::move(progress), drawn.count * shape.height);
  const SampleEvents events = events_for(watched, images.mutable_data(), drawn.first, shape);
  watched.run([&] { sample(model, options_of(drawn, model, models.threads()), events); });
  return images;
}

// [m, n, height, width, 3]
ByteArray complete_images(Models& models, const ByteArray& known, int keep_rows, const Drawn& drawn,
                          py::object progress) {
  const Model& model = models.for_work(Work::decoding);
  const ImageShape& shape = models.config().image;
  const std::vector<Image> pictures = images_of(known, shape);
  const auto number = static_cast<int64_t>(pictures.size());
  ByteArray images({number, drawn.count, int64_t{shape.height}, int64_t{shape.width}, int64_t{3}});
  Watched watched(std::move(progress),
                  std::max<int64_t>(1, number * drawn.count * (shape.height - keep_rows)));
  const SampleEvents events = events_for(watched, images.mutable_data(), 0, shape);
  watched.run([&] {
    complete(model, pictures, keep_rows, options_of(drawn, model, models.threads()), events);
  });
  return images;
}

// The likelihood of images, with the nats of their sub-pixels if on_nats wants them.
Likelihood likelihood_of(Models& models, const ByteArray& images, py::object progress,
                         const OnNats& on_nats = {}) {
  const Model& model = models.for_work(Work::whole_images);
  const ArrayDataset dataset(images, models.config().image);
  Watched watched(std::move(progress), std::max<int64_t>(1, dataset.size()));
  Likelihood likelihood;
  watched.run([&] {
    likelihood = evaluate(
        model, dataset, {.threads = models.threads(), .cancel = watched.cancel()},
        [&](int64_t, int64_t, double) { watched.add_done(); }, on_nats);
  });
  return likelihood;
}

py::array_t<double> log_likelihood(Models& models, const ByteArray& images, py::object progress) {
  const Likelihood likelihood = likelihood_of(models, images, std::move(progress));
  py::array_t<double> result(images.shape(0));
  for (const ImageLikelihood& image : likelihood.images)
    result.mutable_at(image.index) = -(image.nats[0] + image.nats[1] + image.nats[2]);
  return result;
}

py::array_t<double> bits_per_dim(Models& models, const ByteArray& images, py::object progress) {
  const Likelihood likelihood = likelihood_of(models, images, std::move(progress));
  py::array_t<double> result(images.shape(0));
  for (const ImageLikelihood& image : likelihood.images)
    result.mutable_at(image.index) = image.bits_per_dim;
  return result;
}

FloatArray bits_map(Models& models, const ByteArray& images, py::object progress) {
  FloatArray bits(std::vector<py::ssize_t>(images.shape(), images.shape() + images.ndim()));
  float* const to = bits.mutable_data();
  likelihood_of(models, images, std::move(progress),
                [to](int64_t index, std::span<const uint8_t>, std::span<const float> nats) {
                  std::ranges::transform(nats, to + index * std::ssize(nats), to_bits);
                });
  return bits;
}

// [n, height, width, 3, values]
FloatArray logits(Models& models, const ByteArray& images, py::object progress) {
  const Model& model = models.for_work(Work::whole_images);
  const ModelConfig& config = models.config();
  if (config.image.channels != 3)
    throw Error(fmt::format("the model's images have {}, and pictures have 3",
                            plural(config.image.channels, "channel")));
  const ArrayDataset dataset(images, config.image);
  FloatArray result({dataset.size(), int64_t{config.image.height}, int64_t{config.image.width},
                     int64_t{config.image.channels}, int64_t{config.vocab_size}});
  const int64_t in = config.dims(), out = in * config.vocab_size;
  const uint8_t* const from = images.data();
  float* const to = result.mutable_data();
  Watched watched(std::move(progress), std::max<int64_t>(1, dataset.size()));
  watched.run([&] {
    ThreadTeam team(models.threads());
    std::vector<std::optional<ImageScorer>> scorers(static_cast<size_t>(team.size()));
    team.for_each(dataset.size(), [&](int rank, int64_t index) {
      auto& scorer = scorers[static_cast<size_t>(rank)];
      if (!scorer) scorer.emplace(model, watched.cancel());
      scorer->logits(from + index * in, to + index * out);
      watched.add_done();
    });
  });
  return result;
}

}  // namespace

void bind_models(py::module_& module) {
  module.def("usable_threads", &usable_threads);

  py::class_<Drawn>(module, "Drawn")
      .def(py::init([](int64_t count, int64_t first, uint64_t seed, double temperature, int top_k,
                       double top_p) {
        return Drawn{count, first, seed, {temperature, top_k, top_p}};
      }));

  py::class_<Models>(module, "Model")
      .def(py::init(&load))
      .def_property_readonly("config",
                             [](const Models& models) { return to_json(models.config()); })
      .def("sample", &sample_images)
      .def("complete", &complete_images)
      .def("log_likelihood", &log_likelihood)
      .def("bits_per_dim", &bits_per_dim)
      .def("bits_map", &bits_map)
      .def("logits", &logits);
}

}  // namespace combiner

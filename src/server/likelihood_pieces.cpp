#include "server/likelihood_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "image/surprise_map.h"
#include "likelihood/image_likelihood.h"

namespace combiner {
namespace {

// The map of a picture, kept as what it is drawn from: 15 bytes a pixel, while a map of any size
// has half a megabyte or more.
StoredDrawing stored(std::shared_ptr<const SurpriseMap> map, const Image& picture,
                     std::vector<float> bits) {
  const Image drawn = map->draw(picture, bits);
  return {.width = drawn.width,
          .height = drawn.height,
          .bytes = picture.pixels.size() + bits.size() * sizeof(float),
          .draw = [map = std::move(map), picture, bits = std::move(bits)] {
            return map->draw(picture, bits);
          }};
}

void measure(const Model& model, Job& job, const std::shared_ptr<const SurpriseMap>& map,
             const Image& picture, int64_t index) {
  try {
    job.begin();
    ImageScorer scorer(model, Cancel([&job] { return job.cancelled(); }));
    std::vector<float> values(picture.pixels.size());
    scorer.nll(picture.pixels.data(), values.data());
    const ImageLikelihood likelihood =
        image_likelihood(index, values, fmt::format("picture {}", index));
    std::ranges::transform(values, values.begin(), to_bits);
    const int dims = static_cast<int>(values.size()) / 3;
    nlohmann::ordered_json channels;
    for (const double nats : likelihood.nats) channels.push_back(to_bits_per_dim(nats, dims));
    job.finish_image(index, stored(map, picture, std::move(values)),
                     {{"bits_per_dim", likelihood.bits_per_dim}, {"channels", channels}});
  } catch (const Cancelled&) {
    // Nobody waits for it.
  } catch (const std::exception& error) {
    job.fail(error.what());
  }
}

}  // namespace

std::vector<Piece> likelihood_pieces(const Model& model, const std::shared_ptr<Job>& job,
                                     std::vector<Image> pictures) {
  const ImageShape& shape = model.config().image;
  const auto map = std::make_shared<const SurpriseMap>(shape.width, shape.height);
  std::vector<Piece> pieces;
  for (Image& picture : pictures)
    pieces.push_back({Cancel([job] { return job->cancelled(); }),
                      [&model, job, map, picture = std::move(picture), index = std::ssize(pieces)] {
                        measure(model, *job, map, picture, index);
                      }});
  return pieces;
}

}  // namespace combiner

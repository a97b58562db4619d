#include "combiner/session.h"

#include <stdexcept>
#include <utility>
#include <variant>

#include "model/decoder.h"

namespace combiner {
namespace {

using AnyDecoder = std::variant<Decoder<float>, Decoder<bfloat16>>;

AnyDecoder make_decoder(const Model& model, int64_t batch, int team) {
  if (product_type(model.precision()) == ElementType::f32)
    return Decoder<float>(model.config(), model.for_positions(), batch, team);
  return Decoder<bfloat16>(model.config(), model.for_positions(), batch, team);
}

}  // namespace

struct Session::State {
  Model model;  // holds the weights
  int team;
  AnyDecoder decoder;
};

Session::Session(const Model& model, int64_t batch, int team) {
  if (batch < 1 || team < 1)
    throw std::invalid_argument("Session: a batch of no images or a team of no threads");
  state_.reset(new State{model.at(model.precision()), team, make_decoder(model, batch, team)});
}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::unique_ptr<ImageState> Session::new_image() const {
  const Model& model = state_->model;
  return std::visit(
      [&]<class T>(const Decoder<T>&) -> std::unique_ptr<ImageState> {
        return std::make_unique<DecodeState<T>>(model.config(), model.for_positions());
      },
      state_->decoder);
}

void Session::step(std::span<ImageState* const> images, const ChooseValue& choose, int rank) {
  std::visit([&](auto& decoder) { decoder.step(images, choose, rank); }, state_->decoder);
}

void Session::prefill(std::span<ImageState* const> images, std::span<const Image> known, int rows,
                      const Cancel& cancel) {
  const ModelConfig& config = state_->model.config();
  if (state_->team != 1)
    throw std::invalid_argument("Session::prefill: only for a team of one thread");
  if (rows < 0 || rows > config.rows())
    throw std::invalid_argument("Session::prefill: more rows than an image has, or less than none");
  bool fit = known.size() == images.size();
  for (size_t i = 0; fit && i < images.size(); ++i)
    fit = images[i]->position == images[0]->position && known[i].width == config.image.width &&
          known[i].height == config.image.height &&
          std::cmp_equal(known[i].pixels.size(), config.dims());
  if (!fit)
    throw std::invalid_argument(
        "Session::prefill: the images are not at one position, or what is known does not fit them");
  const auto value = [&](size_t image, int64_t subpixel, std::span<const float>) {
    return known[image].pixels[static_cast<size_t>(subpixel)];
  };
  const int64_t end = int64_t{rows} * config.columns();
  while (!images.empty() && images.front()->position < end) {
    cancel.poll();
    step(images, value);
  }
}

void Session::wait(int rank) {
  std::visit([&](auto& decoder) { decoder.wait(rank); }, state_->decoder);
}

void Session::abandon() {
  std::visit([](auto& decoder) { decoder.abandon(); }, state_->decoder);
}

}  // namespace combiner

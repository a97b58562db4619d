#include "engine/session.h"

namespace combiner {
namespace {

std::variant<Decoder<float>, Decoder<bfloat16>> make_decoder(const Model& model, int64_t batch,
                                                             int team) {
  if (product_type(model.precision()) == ElementType::f32)
    return Decoder<float>(model.config(), model.for_positions(), batch, team);
  return Decoder<bfloat16>(model.config(), model.for_positions(), batch, team);
}

}  // namespace

Session::Session(const Model& model, int64_t batch, int team)
    : model_(model), decoder_(make_decoder(model, batch, team)) {}

std::unique_ptr<ImageState> Session::new_image() const {
  return std::visit(
      [&]<class T>(const Decoder<T>&) -> std::unique_ptr<ImageState> {
        return std::make_unique<DecodeState<T>>(model_.config(), model_.for_positions());
      },
      decoder_);
}

void Session::step(std::span<ImageState* const> images, const ChooseValue& choose, int rank) {
  std::visit([&](auto& decoder) { decoder.step(images, choose, rank); }, decoder_);
}

void Session::prefill(ImageState& image, std::span<const uint8_t> pixels, int rows) {
  ImageState* const images[] = {&image};
  const auto known = [&](size_t, int64_t subpixel, std::span<const float>) {
    return pixels[static_cast<size_t>(subpixel)];
  };
  image.position = 0;
  const int64_t end = int64_t{rows} * model_.config().columns();
  while (image.position < end) step(images, known);
}

void Session::wait(int rank) {
  std::visit([&](auto& decoder) { decoder.wait(rank); }, decoder_);
}

void Session::abandon() {
  std::visit([](auto& decoder) { decoder.abandon(); }, decoder_);
}

}  // namespace combiner

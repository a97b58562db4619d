// Draws four images from a model, writes them as PPM files, and prints the bits/dim of each.
#include <combiner/error.h>
#include <combiner/model.h>
#include <combiner/sampler.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

void write_ppm(const std::string& path, const combiner::Image& image) {
  std::ofstream file(path, std::ios::binary);
  file << "P6 " << image.width << ' ' << image.height << " 255\n";
  file.write(reinterpret_cast<const char*>(image.pixels.data()), std::ssize(image.pixels));
}

int main(int argc, char** argv) try {
  if (argc != 2) throw combiner::Error("usage: draw MODEL.safetensors");
  const auto model = combiner::Model::load(argv[1]);
  combiner::ImageScorer scorer(model);
  const auto image_done = [&](int64_t index, const combiner::Image& image) {
    write_ppm(std::to_string(index) + ".ppm", image);
    std::vector<float> nats(image.pixels.size());  // -log p of each sub-pixel
    scorer.nll(image.pixels.data(), nats.data());
    const double sum = std::accumulate(nats.begin(), nats.end(), 0.0);
    std::printf("%d.ppm: %.3f bits/dim\n", static_cast<int>(index),
                sum / std::log(2.0) / static_cast<double>(nats.size()));
  };
  combiner::sample(model, {.count = 4, .seed = 1}, {.image_done = image_done});
} catch (const combiner::Error& error) {
  std::fprintf(stderr, "draw: %s\n", error.what());
  return 1;
}

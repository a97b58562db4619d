#include "server/coding_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "codec/stream_coder.h"
#include "image/tiles.h"
#include "server/job_task.h"

namespace combiner {
namespace {

// The streams of a job's tiles until all are there. Tasks finish one at a time, by the engine's
// thread.
struct Packing {
  CodedHeader header;
  std::vector<CodedPicture> described;
  std::vector<std::vector<uint8_t>> streams;
  size_t finished = 0;
  int64_t subpixels = 0;

  void finish(Job& job) {
    std::vector<uint8_t> file;
    CodedFileWriter writer(header, [&](std::span<const uint8_t> more) {
      std::ranges::copy(more, std::back_inserter(file));
    });
    for (std::vector<uint8_t>& stream : streams) writer.add(std::move(stream));
    writer.finish(described);
    const size_t bytes = file.size();
    const double bits = 8 * static_cast<double>(bytes);
    job.finish(std::move(file), {{"bytes", bytes},
                                 {"bits_per_dim", bits / static_cast<double>(subpixels)},
                                 {"sha256", header.sha256},
                                 {"kernels", header.kernels}});
  }
};

class EncodeTask final : public JobTask {
 public:
  EncodeTask(std::shared_ptr<Job> job, const Model& model, Image tile, size_t index,
             std::shared_ptr<Packing> packing)
      : JobTask(std::move(job), model),
        tile_(std::move(tile)),
        index_(index),
        packing_(std::move(packing)) {}

  uint8_t choose(int64_t subpixel, std::span<const float> logits) override {
    const uint8_t value = tile_.pixels[static_cast<size_t>(subpixel)];
    encoder_.add(value, logits);
    return value;
  }
  void done(std::unique_ptr<ImageState>) override {
    packing_->streams[index_] = encoder_.finish(tile_.pixels);
    if (++packing_->finished == packing_->streams.size()) packing_->finish(*job_);
  }

 private:
  const Image tile_;
  const size_t index_;
  const std::shared_ptr<Packing> packing_;
  StreamEncoder encoder_;
};

// A picture of a file until all its tiles are there.
struct Unpacking {
  std::shared_ptr<OpenFile> file;
  size_t index;
  Image picture;
  int64_t missing;  // tiles
};

class DecodeTask final : public JobTask {
 public:
  DecodeTask(std::shared_ptr<Job> job, const Model& model, std::span<const uint8_t> stream,
             int64_t tile, std::shared_ptr<Unpacking> unpacking)
      : JobTask(std::move(job), model),
        decoder_(stream),
        tile_(tile),
        unpacking_(std::move(unpacking)) {}

  uint8_t choose(int64_t, std::span<const float> logits) override { return decoder_.next(logits); }
  void done(std::unique_ptr<ImageState> image) override {
    Unpacking& unpacking = *unpacking_;
    if (!decoder_.ends_with(image->pixels))
      return job_->fail(fmt::format("{}: picture {} is damaged", unpacking.file->coded.source(),
                                    unpacking.index));
    place_tile({shape().width, shape().height, std::move(image->pixels)}, tile_, unpacking.picture);
    if (--unpacking.missing > 0) return;
    const CodedPicture& picture = unpacking.file->coded.pictures()[unpacking.index];
    nlohmann::ordered_json note = nlohmann::ordered_json::object();
    if (!picture.name.empty()) note["name"] = picture.name;
    if (picture.label) note["label"] = *picture.label;
    job_->finish_image(static_cast<int64_t>(unpacking.index), std::move(unpacking.picture), note);
  }

 private:
  StreamDecoder decoder_;
  const int64_t tile_;
  const std::shared_ptr<Unpacking> unpacking_;
};

}  // namespace

void pack(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
          const CodedHeader& header, std::vector<CodedPicture> described,
          const std::vector<Image>& pictures) {
  const TileSize size{header.width, header.height};
  auto packing = std::make_shared<Packing>(Packing{header, std::move(described), {}});
  Engine::Tasks tasks;
  for (const Image& picture : pictures) {
    packing->subpixels += std::ssize(picture.pixels);
    const int64_t tiles = tiles_of(picture.width, picture.height, size);
    for (int64_t tile = 0; tile < tiles; ++tile)
      tasks.push_back(std::make_unique<EncodeTask>(job, model, cut_tile(picture, size, tile),
                                                   tasks.size(), packing));
  }
  packing->streams.resize(tasks.size());
  engine.decode(model, std::move(tasks));
}

void unpack(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
            const std::shared_ptr<OpenFile>& file) {
  CodedFile& coded = file->coded;
  Engine::Tasks tasks;
  for (size_t i = 0; i < coded.pictures().size(); ++i) {
    const CodedPicture& picture = coded.pictures()[i];
    const int64_t tiles = streams_of(picture, coded.header());
    const auto bytes = size_t{3} * static_cast<size_t>(picture.width * picture.height);
    auto unpacking = std::make_shared<Unpacking>(
        Unpacking{file, i, {picture.width, picture.height, std::vector<uint8_t>(bytes)}, tiles});
    for (int64_t tile = 0; tile < tiles; ++tile)
      tasks.push_back(std::make_unique<DecodeTask>(
          job, model, *coded.stream(coded.first_stream(i) + tile), tile, unpacking));
  }
  engine.decode(model, std::move(tasks));
}

}  // namespace combiner

#include "sampling/batch_sampler.h"

namespace combiner {

bool DrawingJob::stopped() {
  if (!stop && events.cancel.asked()) stop = true;
  return stop;
}

BatchSampler::BatchSampler(const Model& model, const Plan& plan,
                           std::span<ImageState* const> states, DrawingJob& job)
    : config_(model.config()),
      plan_(plan),
      job_(job),
      team_(model, plan.largest(), plan.team()),
      states_(states) {}

void BatchSampler::draw_all(int rank) {
  for (;;) {
    if (rank == 0) {
      const int64_t batch = job_.next_batch++;
      batch_.clear();
      if (batch < plan_.batches())
        for (int64_t i = plan_.first(batch); i < plan_.first(batch + 1); ++i)
          batch_.push_back(job_.image(i));
    }
    team_.wait(rank);
    if (batch_.empty() || !draw(batch_, rank)) return;
  }
}

void BatchSampler::warm_up(int positions, int rank, const Cancel& cancel) {
  begin(std::vector<ImageToDraw>(states_.size()), rank);
  const auto zero = [](size_t, int64_t, std::span<const float>) { return uint8_t{0}; };
  for (int i = 0; i < positions; ++i) {
    cancel.poll();
    team_.step(states_, zero, rank);
  }
}

// Brings the states to where the images start. The threads share the copying.
void BatchSampler::begin(std::span<const ImageToDraw> images, int rank) {
  for (auto i = static_cast<size_t>(rank); i < images.size();
       i += static_cast<size_t>(team_.size())) {
    if (images[i].start)
      states_[i]->assign(*images[i].start);
    else
      states_[i]->position = 0;
  }
  team_.wait(rank);
}

// Returns false if the job was stopped.
bool BatchSampler::draw(std::span<const ImageToDraw> images, int rank) {
  const std::span<ImageState* const> states = states_.first(images.size());
  begin(images, rank);
  const ChooseValue choose = [&](size_t image, int64_t subpixel, std::span<const float> logits) {
    return job_.choose(images[image], subpixel, logits);
  };
  const int columns = config_.columns();
  bool begun = false;
  const auto next = [&] {
    using Next = DecodingTeam::Next;
    const int64_t position = states.front()->position;
    if (begun && position % columns == 0)
      report_row(images, static_cast<int>(position / columns) - 1);
    begun = true;
    if (position < config_.positions()) return job_.stopped() ? Next::stop : Next::step;
    report_images(images);
    return Next::finish;
  };
  return team_.decode(states, choose, next, rank);
}

void BatchSampler::report_row(std::span<const ImageToDraw> images, int row) {
  if (!job_.events.row_done) return;
  const auto bytes = static_cast<size_t>(config_.image.width * config_.image.channels);
  const std::lock_guard lock(job_.events_mutex);
  for (size_t i = 0; i < images.size(); ++i)
    job_.events.row_done(images[i].index, row,
                         std::span<const uint8_t>(states_[i]->pixels)
                             .subspan(static_cast<size_t>(row) * bytes, bytes));
}

void BatchSampler::report_images(std::span<const ImageToDraw> images) {
  if (!job_.events.image_done) return;
  const std::lock_guard lock(job_.events_mutex);
  for (size_t i = 0; i < images.size(); ++i)
    job_.events.image_done(images[i].index,
                           {config_.image.width, config_.image.height, states_[i]->pixels});
}

}  // namespace combiner

#include "sampling/batch_sampler.h"

#include <chrono>

namespace combiner {

bool DrawingJob::stopped() {
  if (!stop && events.cancelled && events.cancelled()) stop = true;
  return stop;
}

BatchSampler::BatchSampler(const Model& model, const Plan& plan,
                           std::span<ImageState* const> states, DrawingJob& job)
    : config_(model.config()),
      plan_(plan),
      job_(job),
      session_(model, plan.largest(), plan.team()),
      states_(states),
      followed_(static_cast<size_t>(plan.team())) {
  if (plan.team() > 1) alone_.emplace(model, plan.largest());
}

void BatchSampler::draw_all(int rank) {
  for (;;) {
    if (rank == 0) {
      const int64_t batch = job_.next_batch++;
      batch_.clear();
      if (batch < plan_.batches())
        for (int64_t i = plan_.first(batch); i < plan_.first(batch + 1); ++i)
          batch_.push_back(job_.image(i));
    }
    session_.wait(rank);
    if (batch_.empty() || !draw(batch_, rank)) return;
  }
}

void BatchSampler::warm_up(int positions, int rank, const Cancel& cancel) {
  begin(std::vector<ImageToDraw>(states_.size()), rank);
  const auto zero = [](size_t, int64_t, std::span<const float>) { return uint8_t{0}; };
  for (int i = 0; i < positions; ++i) {
    cancel.poll();
    session_.step(states_, zero, rank);
  }
}

// Brings the states to where the images start. The threads share the copying.
void BatchSampler::begin(std::span<const ImageToDraw> images, int rank) {
  for (auto i = static_cast<size_t>(rank); i < images.size(); i += followed_.size()) {
    if (images[i].start)
      states_[i]->assign(*images[i].start);
    else
      states_[i]->position = 0;
  }
  session_.wait(rank);
}

// Returns false if the job was stopped.
bool BatchSampler::draw(std::span<const ImageToDraw> images, int rank) {
  const std::span<ImageState* const> states = states_.first(images.size());
  begin(images, rank);
  const ChooseValue choose = [&](size_t image, int64_t subpixel, std::span<const float> logits) {
    return job_.choose(images[image], subpixel, logits);
  };
  if (rank > 0) return follow(states, choose, rank);
  const int columns = config_.columns();
  for (int64_t position = states.front()->position; position < config_.positions(); ++position) {
    if (job_.stopped()) {
      give(Order::stop);
      return false;
    }
    decode(states, choose);
    if ((position + 1) % columns == 0) report_row(images, static_cast<int>(position / columns));
  }
  report_images(images);
  give(Order::finish);
  return true;
}

// Decodes the next position, with the team or alone.
void BatchSampler::decode(std::span<ImageState* const> states, const ChooseValue& choose) {
  if (plan_.team() == 1) return session_.step(states, choose);
  const auto start = std::chrono::steady_clock::now();
  if (pace_.alone()) {
    if (!resting_) give(Order::rest);
    alone_->step(states, choose);
  } else {
    give(Order::step);
    session_.step(states, choose);
  }
  pace_.took(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// Called by the first thread. Returns when all others are about to follow the order.
void BatchSampler::give(Order order) {
  if (resting_) wake_team();
  resting_ = order == Order::rest;
  orders_[++given_ % 2] = order;
  session_.wait(0);
}

// What the other threads do while the first decodes a batch. They sleep while they rest, because
// they would take processor time from it. Returns false if the job was stopped.
bool BatchSampler::follow(std::span<ImageState* const> states, const ChooseValue& choose,
                          int rank) {
  for (;;) {
    const uint32_t wakes = wakes_;
    session_.wait(rank);
    switch (orders_[++followed_[static_cast<size_t>(rank)].orders % 2]) {
      case Order::step:
        session_.step(states, choose, rank);
        break;
      case Order::rest:
        wakes_.wait(wakes);
        break;
      case Order::finish:
        return true;
      case Order::stop:
        return false;
    }
  }
}

void BatchSampler::wake_team() {
  ++wakes_;
  wakes_.notify_all();
}

void BatchSampler::abandon() {
  session_.abandon();
  wake_team();
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

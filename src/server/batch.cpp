#include "server/batch.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/round_up.h"
#include "base/share.h"

namespace combiner {
namespace {

// The smallest size of equal teams that leaves no team without an image.
int team_size(int threads, int64_t images) {
  int size = 1;
  while (threads % size != 0 || threads / size > images) ++size;
  return size;
}

}  // namespace

Batch::Batch(const Model& model, ThreadTeam& threads, int64_t most)
    : model_(model), config_(model.config()), threads_(threads), most_(most), session_(model, 1) {}

void Batch::add(std::unique_ptr<PixelTask>& task, std::shared_ptr<void> ticket) {
  std::unique_ptr<ImageState> image = session_.new_image();
  if (const ImageState* const start = task->start()) image->assign(*start);
  task->begin();
  const int64_t end = int64_t{task->rows()} * config_.columns();
  images_.push_back({.ticket = std::move(ticket), .image = std::move(image), .end = end});
  images_.back().task = std::move(task);
}

void Batch::drop_cancelled() {
  std::erase_if(images_, [](const Member& member) { return member.task->cancelled(); });
}

void Batch::run(const std::function<bool()>& interrupted) {
  const int size = team_size(threads_.size(), this->size());
  try {
    Teams& teams = teams_of(size);
    std::vector<std::vector<Member*>> shares(teams.size());
    for (size_t i = 0; i < images_.size(); ++i) shares[i % teams.size()].push_back(&images_[i]);
    std::atomic<bool> ended = false;
    threads_.run([&](int rank) {
      const auto index = static_cast<size_t>(rank / size);
      try {
        decode(*teams[index], shares[index], rank % size, ended, interrupted);
      } catch (const BrokenBarrier&) {
        // Another thread has thrown the exception that says why.
      } catch (...) {
        ended = true;
        teams[index]->abandon();
        throw;
      }
    });
  } catch (const std::exception& error) {
    teams_.clear();  // their barriers are broken
    for (Member& member : images_) member.failure = error.what();
  }
  let_go();
}

// Teams are made by the threads that use them: memory is placed near the thread that first touches
// it.
Batch::Teams& Batch::teams_of(int size) {
  Teams& teams = teams_[size];
  if (!teams.empty()) return teams;
  Teams made(static_cast<size_t>(threads_.size() / size));
  const int64_t most = ceil_div(most_, std::ssize(made));
  threads_.run([&](int rank) {
    if (rank % size == 0)
      made[static_cast<size_t>(rank / size)] = std::make_unique<DecodingTeam>(model_, most, size);
  });
  return teams = std::move(made);
}

void Batch::decode(DecodingTeam& team, std::span<Member* const> members, int rank,
                   std::atomic<bool>& ended, const std::function<bool()>& interrupted) {
  std::vector<ImageState*> images;
  for (const Member* member : members) images.push_back(member->image.get());
  const ChooseValue choose = [&](size_t i, int64_t subpixel, std::span<const float> logits) {
    Member& member = *members[i];
    if (member.failure) return uint8_t{0};
    try {
      return member.task->choose(subpixel, logits);
    } catch (const std::exception& error) {
      member.failure = error.what();
      ended = true;
      return uint8_t{0};
    }
  };
  const auto next = [&] {
    for (Member* member : members) {
      tell_rows(*member);
      if (member->image->position >= member->end) ended = true;
    }
    return ended || interrupted() ? DecodingTeam::Next::finish : DecodingTeam::Next::step;
  };
  team.decode(images, choose, next, rank);
}

void Batch::tell_rows(Member& member) const {
  const int64_t rows = member.image->position / config_.columns();
  const auto bytes = static_cast<size_t>(config_.image.width * config_.image.channels);
  for (; member.rows_told < rows; ++member.rows_told)
    member.task->row_done(std::span<const uint8_t>(member.image->pixels)
                              .subspan(bytes * static_cast<size_t>(member.rows_told), bytes));
}

// Images that have failed or are done leave.
void Batch::let_go() {
  for (Member& member : images_) {
    if (!member.failure && member.image->position < member.end) continue;
    try {
      if (!member.failure) member.task->done(std::move(member.image));
    } catch (const std::exception& error) {
      member.failure = error.what();
    }
    if (member.failure) member.task->fail(*member.failure);
    member.task.reset();
  }
  std::erase_if(images_, [](const Member& member) { return !member.task; });
}

}  // namespace combiner

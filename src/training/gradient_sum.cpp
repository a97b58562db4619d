#include "training/gradient_sum.h"

#include <algorithm>

#include "base/round_up.h"
#include "kernels/rows.h"

namespace combiner {
namespace {

constexpr size_t kMostPieces = 16;
constexpr size_t kSmallestPiece = size_t{1} << 18;  // 1 MB, which a network takes some time for
constexpr size_t kChunk = size_t{1} << 14;          // stays in a core's cache

}  // namespace

GradientSum::GradientSum(std::vector<Buffer<float>>& gradients, Cluster& cluster)
    : gradients_(gradients), cluster_(cluster), next_piece_(gradients.size()) {
  const size_t size = gradients.front().size();
  const size_t piece_size = std::max(kSmallestPiece, ceil_div(size, kMostPieces));
  pieces_ = std::vector<Piece>(ceil_div(size, piece_size));
  size_t end = size;
  for (Piece& piece : pieces_) {
    piece.size = std::min(end, piece_size);
    piece.begin = end -= piece.size;
  }
}

void GradientSum::begin() {
  for (Piece& piece : pieces_) piece.threads = piece.next_chunk = piece.chunks_done = 0;
  std::ranges::fill(next_piece_, 0);
  begun_ = 0;
}

void GradientSum::done_from(size_t thread, size_t offset) {
  for (size_t& next = next_piece_[thread]; next < pieces_.size() && pieces_[next].begin >= offset;
       ++next)
    ++pieces_[next].threads;
  add_up_what_is_there();
}

void GradientSum::add_up_what_is_there() {
  for (Piece& piece : pieces_) {
    if (piece.threads < gradients_.size()) return;
    const size_t chunks = ceil_div(piece.size, kChunk);
    for (size_t chunk = piece.next_chunk++; chunk < chunks; chunk = piece.next_chunk++) {
      add_up(piece, chunk);
      if (++piece.chunks_done == chunks) begin_sums(false);
    }
  }
}

void GradientSum::add_up(const Piece& piece, size_t chunk) {
  const size_t offset = piece.begin + chunk * kChunk;
  const size_t count = std::min(kChunk, piece.begin + piece.size - offset);
  float* const sum = gradients_[0].data() + offset;
  for (size_t other = 1; other < gradients_.size(); ++other)
    add_row(gradients_[other].span().subspan(offset, count), sum);
}

void GradientSum::begin_sums(bool all) {
  const std::lock_guard lock(mutex_);
  for (; begun_ < pieces_.size(); ++begun_) {
    const Piece& piece = pieces_[begun_];
    if (!all && piece.chunks_done < ceil_div(piece.size, kChunk)) return;
    cluster_.start_sum(gradients_[0].span().subspan(piece.begin, piece.size));
  }
}

void GradientSum::finish() {
  begin_sums(true);
  cluster_.wait_for_sums();
}

}  // namespace combiner

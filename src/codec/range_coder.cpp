#include "codec/range_coder.h"

#include <utility>

namespace combiner {
namespace {

constexpr int kTopShift = 56;
// With less range than this the top byte is settled, but for a carry.
constexpr uint64_t kLeastRange = uint64_t{1} << kTopShift;

// Narrows the interval to the value's part of it. Returns whether `low` passed 2^64.
bool narrow(CodingInterval& interval, FrequencyRange value) {
  const uint64_t unit = interval.range >> kFrequencyBits;
  const uint64_t step = unit * value.begin;
  interval.low += step;
  interval.range = unit * value.size;
  return interval.low < step;
}

// The number of the interval with the most zeros at its end, modulo 2^64.
uint64_t shortest(const CodingInterval& interval) {
  for (int shift = 64; shift > 0; shift -= 8) {
    const uint64_t below = shift == 64 ? ~uint64_t{0} : (uint64_t{1} << shift) - 1;
    const uint64_t number = (interval.low + below) & ~below;
    if (number - interval.low < interval.range) return number;
  }
  return interval.low;
}

}  // namespace

void RangeEncoder::encode(FrequencyRange value) {
  if (narrow(interval_, value)) carry();
  while (interval_.range < kLeastRange) {
    bytes_.push_back(static_cast<uint8_t>(interval_.low >> kTopShift));
    interval_.low <<= 8;
    interval_.range <<= 8;
  }
}

// Adds 1 to the bytes written, which are one long number. It has room: the first interval ends at
// 2^64.
void RangeEncoder::carry() {
  for (size_t i = bytes_.size(); ++bytes_[--i] == 0;) {
  }
}

std::vector<uint8_t> RangeEncoder::finish() {
  const uint64_t last = shortest(interval_);
  if (last < interval_.low) carry();
  for (int shift = kTopShift; shift >= 0; shift -= 8)
    bytes_.push_back(static_cast<uint8_t>(last >> shift));
  while (!bytes_.empty() && bytes_.back() == 0) bytes_.pop_back();
  interval_ = {};
  return std::exchange(bytes_, {});
}

RangeDecoder::RangeDecoder(std::span<const uint8_t> stream) : stream_(stream) {
  for (int i = 0; i < 8; ++i) ahead_ = ahead_ << 8 | next();
}

uint8_t RangeDecoder::next() {
  const size_t at = read_++;
  return at < stream_.size() ? stream_[at] : 0;
}

void RangeDecoder::take(FrequencyRange value) {
  ahead_ -= (interval_.range >> kFrequencyBits) * value.begin;
  narrow(interval_, value);
  while (interval_.range < kLeastRange) {
    ahead_ = ahead_ << 8 | next();
    interval_.low <<= 8;
    interval_.range <<= 8;
  }
}

bool RangeDecoder::at_end() const {
  return (stream_.empty() || stream_.back() != 0) && read_ >= stream_.size() &&
         ahead_ == shortest(interval_) - interval_.low;
}

}  // namespace combiner

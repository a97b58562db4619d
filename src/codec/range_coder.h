// A range coder: numbers with known distributions in as few bytes as they hold information.
// Specified in docs/codec.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace combiner {

// Frequencies are out of this total, in both directions.
inline constexpr int kFrequencyBits = 24;
inline constexpr uint32_t kFrequencyTotal = uint32_t{1} << kFrequencyBits;

// A value's share of the total: [begin, begin + size), with size > 0 and an end of at most the
// total.
struct FrequencyRange {
  uint32_t begin = 0;
  uint32_t size = 0;
};

// The interval that the coder narrows with each value, [low, low + range), in units of the eight
// bytes that are next. Both directions have the same.
struct CodingInterval {
  uint64_t low = 0;
  uint64_t range = ~uint64_t{0};
};

class RangeEncoder {
 public:
  void encode(FrequencyRange value);
  // Ends the stream and returns it; it has no zeros at its end. The encoder then begins another.
  std::vector<uint8_t> finish();

 private:
  void carry();

  CodingInterval interval_;
  std::vector<uint8_t> bytes_;
};

class RangeDecoder {
 public:
  // `stream` must outlive the decoder.
  explicit RangeDecoder(std::span<const uint8_t> stream);

  // Where the next value's frequencies lie: to be looked up in [0, kFrequencyTotal), and then
  // passed to `take`. In a damaged stream the number may be the total or more.
  uint64_t target() const { return ahead_ / (interval_.range >> kFrequencyBits); }
  // Goes on behind the value that has the target.
  void take(FrequencyRange value);

  // Whether the stream ends here, exactly as the encoder would have ended it.
  bool at_end() const;

 private:
  uint8_t next();

  std::span<const uint8_t> stream_;
  size_t read_ = 0;  // bytes, and zeros beyond the end
  CodingInterval interval_;
  uint64_t ahead_ = 0;  // the next eight bytes, less the interval's low
};

}  // namespace combiner

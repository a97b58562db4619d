// One image that is decoded in a batch with others.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "combiner/session.h"

namespace combiner {

// Where the values of an image come from, and who hears of them. All calls for one task are made
// one at a time, but from different threads.
class PixelTask {
 public:
  virtual ~PixelTask() = default;

  // What the image goes on from; null to begin at its first pixel.
  virtual const ImageState* start() const { return nullptr; }
  // Whether others will go on from it, so that it lives on until they begin.
  virtual bool makes_start() const { return false; }
  // The rows that it has when it is done.
  virtual int rows() const = 0;

  // Decoding begins.
  virtual void begin() = 0;
  // Returns the value of a sub-pixel. An exception fails this task only.
  virtual uint8_t choose(int64_t subpixel, std::span<const float> logits) = 0;
  // The next row is complete: pixels [width, 3]. The rows of start() are told too.
  virtual void row_done(std::span<const uint8_t> pixels) = 0;
  // Takes the finished image.
  virtual void done(std::unique_ptr<ImageState> image) = 0;
  virtual void fail(const std::string& why) = 0;

  // Whether nobody wants it any more. Asked often.
  virtual bool cancelled() const = 0;
};

}  // namespace combiner

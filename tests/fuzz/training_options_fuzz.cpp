// A checkpoint's training options, as JSON.
#include <string_view>

#include "fuzz/fuzz.h"
#include "training/options.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    require(to_json(parse_training_options(text, "options")) == text,
            "options must be just what the text says");
  });
}

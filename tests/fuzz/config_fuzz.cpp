// A model's config, as JSON.
#include <string_view>

#include "combiner/config.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace combiner;
  return run_fuzz([&] {
    const ModelConfig config = parse_config({reinterpret_cast<const char*>(data), size}, "config");
    require(parse_config(to_json(config), "config") == config, "a config must survive its JSON");
  });
}

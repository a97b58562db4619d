// Calls the installed library: a config without fields is an Error.
#include <combiner/error.h>
#include <combiner/model/config.h>

#include <cstdio>

int main() {
  try {
    combiner::parse_config("{}", "consumer");
  } catch (const combiner::Error& error) {
    std::puts(error.what());
    return 0;
  }
  return 1;
}

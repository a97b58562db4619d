#include "cluster/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string>
#include <system_error>

#include "combiner/error.h"

namespace combiner {

std::unique_ptr<Cluster> open_mpi(std::span<const std::filesystem::path> places) {
  const auto found = std::ranges::find_if(places, [](const std::filesystem::path& place) {
    std::error_code ignored;  // what can't be examined can't be loaded
    return std::filesystem::exists(place, ignored);
  });
  if (found == places.end())
    throw Error(fmt::format(
        "started by MPI, but built without it: there is no {}; build with -D COMBINER_MPI=ON, or "
        "start the program alone",
        places.front().string()));
  // Global, for what MPI loads itself. Never unloaded: MPI's threads may outlive it.
  void* const library = dlopen(found->c_str(), RTLD_NOW | RTLD_GLOBAL);
  const auto open =
      library ? reinterpret_cast<Cluster* (*)()>(dlsym(library, "combiner_open_mpi")) : nullptr;
  if (!open) throw Error(fmt::format("can't use MPI: {}", dlerror()));
  try {
    return std::unique_ptr<Cluster>(open());
  } catch (const std::exception& error) {
    throw Error(fmt::format("can't use MPI: {}", error.what()));
  }
}

}  // namespace combiner

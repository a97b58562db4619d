// Loads the cluster's MPI form, which is a shared object of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "cluster/cluster.h"

namespace combiner {

// Loads the first of these files that there is, and starts MPI. Throws Error if there is none, or
// if it can't be used.
std::unique_ptr<Cluster> open_mpi(std::span<const std::filesystem::path> places);

}  // namespace combiner

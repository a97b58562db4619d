// The models that the program comes with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace combiner {

// Their weights files, sorted by name. They lie in a folder that is looked up relative to the
// program's own path; empty if there is none.
std::vector<std::filesystem::path> shipped_models();

// The weights file that `model`, the argument of --model, means: a file or, if there is none of
// this name, the shipped model of this name; if it is empty, the shipped model cifar10. A path that
// can't be a model's name is returned as it is. Throws Error if there is no such model.
std::filesystem::path find_model(const std::string& model);

}  // namespace combiner

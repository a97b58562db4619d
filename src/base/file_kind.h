// Recognises files that were named by mistake.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace combiner {

// Says what a file is, going by its contents, and what to do about it: "a Git LFS pointer, not the
// file: run git lfs pull". Knows what is mistaken for weights or a config. Empty if the contents
// are of no kind that it knows.
std::string file_kind(std::span<const std::byte> contents);

// The same of a file. Empty also if it can't be read.
std::string file_kind(const std::filesystem::path& path);

// What file_kind() says of the files of a model.
inline constexpr std::string_view kSafetensorsKind = "a safetensors file";
inline constexpr std::string_view kConfigKind = "a model's config, not its weights";

// The format that a model's config names.
inline constexpr std::string_view kConfigFormat = "combiner-1";

// Whether contents begin as those of a safetensors file do.
bool is_safetensors(std::span<const std::byte> contents);

// Whether JSON text is the index of weights that lie in several files.
bool is_weights_index(std::string_view text);

}  // namespace combiner

// What made a picture. PNG files carry it, as JSON: for drawn images enough to draw them again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "combiner/precision.h"
#include "combiner/sampler.h"
#include "image/png.h"

namespace combiner {

// The most images that are drawn in a run, and the greatest index that its first may have: those of
// completions have the picture's index in their upper half.
inline constexpr int64_t kMostImages = int64_t{1} << 40;
inline constexpr int64_t kMostFirst = int64_t{1} << 62;

struct SheetLayout {
  int rows = 1;
  int columns = 1;
  int gap = 0;    // pixels between and around the images
  int scale = 1;  // magnification

  bool operator==(const SheetLayout&) const = default;
};

struct Recipe {
  std::string program;  // "combiner 0.1.0"
  std::string command;  // "sample" or "complete"
  std::string model;    // the weights file's name, without its folder
  std::string sha256;   // of the weights file
  uint64_t seed = 0;
  int64_t first = 0;  // index of the first image
  int64_t count = 1;  // of a completion, for each picture
  ChoiceOptions choice = {};
  Precision precision = Precision::f32;
  std::string kernels = {};  // kernels_in_use()
  SheetLayout sheet = {};
  bool unfinished = false;  // drawing was interrupted

  // Of a completion only.
  std::vector<std::string> pictures = {};
  int keep_rows = 0;

  bool operator==(const Recipe&) const = default;
};

nlohmann::ordered_json to_json(const Recipe& recipe);

// The text chunks of a picture that was made as this JSON object says. It has the item "program".
std::vector<PngText> made_by_texts(const nlohmann::ordered_json& made_by);
// Reads that object from a PNG file. Throws Error if the file is not a readable PNG or carries
// none.
nlohmann::ordered_json read_made_by(const std::filesystem::path& path);

// Reads the recipe from a PNG file. Throws Error if read_made_by does, or if what the file carries
// is not a recipe.
Recipe read_recipe(const std::filesystem::path& path);

// The name and version of this program.
std::string program_name();

}  // namespace combiner

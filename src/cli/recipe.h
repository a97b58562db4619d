// What made a picture: enough to draw it again. PNG files carry it.
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

// The text chunks of a picture with this recipe.
std::vector<PngText> recipe_texts(const Recipe& recipe);

// Reads the recipe from a PNG file. Throws Error if the file is not a readable PNG, carries no
// recipe or a malformed one.
Recipe read_recipe(const std::filesystem::path& path);

}  // namespace combiner

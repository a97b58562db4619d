// Draws pictures beside the images that are nearest to them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "combiner/dataset.h"
#include "combiner/image.h"
#include "neighbours/nearest.h"

namespace combiner {

// The most neighbours of a picture, by each distance, that a sheet shows.
inline constexpr int kMostNeighboursShown = 8;

// A sheet with a row for each picture: the picture and its name, the images nearest in pixels, and
// those nearest in means, each with its index and distance. Images that are nearer mirrored are
// shown mirrored. How large the sheet becomes is known before the search.
class NearestSheet {
 public:
  // For pictures of one size, which must outlive the sheet as their names must, and the first
  // kMostNeighboursShown of up to `neighbours` images among `images`, of which there is at least
  // one. Each pixel is magnified to scale x scale.
  NearestSheet(std::span<const Image> pictures, std::span<const std::string> names,
               int64_t neighbours, int64_t images, int scale);

  // In pixels.
  int64_t width() const;
  int64_t height() const;
  // Whether that is within kMaxImageBytes.
  bool fits() const;

  // `nearest` is find_nearest's result for these pictures and so many of these images, or fewer if
  // it was stopped. Throws Error if an image can't be read or the sheet does not fit.
  Image draw(const NearestImages& nearest, const Dataset& images) const;

 private:
  // Columns of cells under a heading. A cell has an image and, below it, two lines of text.
  struct Part {
    Image heading;
    int64_t columns = 1;
    int64_t cell_width = 0;

    int64_t cells_width() const;
    int64_t width() const;  // the heading may be wider than the cells
  };

  int64_t cell_height() const;
  void paint_neighbours(std::span<const Neighbour> neighbours, const Dataset& images,
                        const Part& part, int64_t left, int64_t top, Image& sheet) const;
  void paint_cell(const Image& image, const std::string& text, const Part& part, int64_t left,
                  int64_t top, int64_t column, Image& sheet) const;

  std::span<const Image> pictures_;
  std::span<const std::string> names_;
  int scale_;
  std::array<Part, 3> parts_;  // pictures, neighbours in pixels and neighbours in means
};

}  // namespace combiner

// What is seen of a sheet while it is drawn: a file, and a picture on the terminal.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/output_options.h"
#include "cli/progress.h"
#include "cli/seldom.h"
#include "image/png.h"

namespace combiner {

class Preview {
 public:
  // `sheet` returns the sheet as far as it is drawn, magnified or not; `texts` what its file
  // carries. Throws Error if the file can't be written. Says so if nothing can be shown on the
  // terminal.
  Preview(const OutputOptions& options, std::function<Image(bool magnified)> sheet,
          std::function<std::vector<PngText>()> texts);

  // Whether anything is asked for.
  static bool wanted(const OutputOptions& options);

  // Shows the present state if it is time. The picture stands above the progress line.
  void update(Progress& progress);
  // Shows it in any case.
  void refresh(Progress& progress);

 private:
  void show(Progress& progress);

  std::string file_;  // empty after a failure, which is reported once: the drawing matters more
  bool shows_;
  std::function<Image(bool)> sheet_;
  std::function<std::vector<PngText>()> texts_;
  int shown_lines_ = 0;
  Seldom seldom_;
};

}  // namespace combiner

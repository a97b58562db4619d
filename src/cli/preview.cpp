#include "cli/preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/output_file.h"
#include "cli/half_blocks.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "combiner/error.h"
#include "image/write_png.h"

namespace combiner {

bool Preview::wanted(const OutputOptions& options) {
  return !options.preview.empty() || options.show;
}

Preview::Preview(const OutputOptions& options, std::function<Image(bool)> sheet,
                 std::function<std::vector<PngText>()> texts)
    : file_(options.preview),
      shows_(options.show && why_no_pictures().empty()),
      sheet_(std::move(sheet)),
      texts_(std::move(texts)) {
  if (!file_.empty()) OutputFile can_be_written(file_);
  if (options.show && !shows_) say("--show shows nothing: {}\n", why_no_pictures());
}

void Preview::update(Progress& progress) {
  if (file_.empty() && !shows_) return;
  seldom_.run([&] { refresh(progress); });
}

void Preview::refresh(Progress& progress) {
  try {
    if (!file_.empty()) write_png(file_, sheet_(true), texts_());
  } catch (const Error& error) {
    progress.clear();
    say("no more previews: {}\n", error.what());
    file_.clear();
  }
  if (shows_) show(progress);
}

// Draws over what was shown before.
void Preview::show(Progress& progress) {
  const TerminalSize size = terminal_size();
  constexpr int kOtherLines = 2;  // the progress line, and one that stays empty above it
  const std::string text = half_blocks(sheet_(false), size.columns - 1, size.lines - kOtherLines);
  progress.clear();
  if (shown_lines_ > 0) say("\x1b[{}A", shown_lines_);
  say("{}", text);
  shown_lines_ = static_cast<int>(std::ranges::count(text, '\n'));
}

}  // namespace combiner

#include "cli/skipped_images.h"

#include <iterator>

#include "base/plural.h"
#include "base/printable.h"
#include "cli/say.h"

namespace combiner {
namespace {

constexpr size_t kNamed = 5;

}  // namespace

void SkippedImages::add(const std::string& why) {
  if (!all_.insert(why).second || named_.size() == kNamed) return;
  named_.push_back(why);
  say("left out: {}\n", printable_lines(why));
}

void SkippedImages::say_count() const {
  if (all_.size() > named_.size()) say("{} left out in all\n", plural(count(), "image"));
}

nlohmann::ordered_json SkippedImages::json() const {
  return {{"count", count()}, {"first", named_}};
}

}  // namespace combiner

#include "server/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "server/base64.h"

namespace combiner {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kEventsAtATime = 256;

std::string event_text(size_t number, const char* kind, const std::string& data) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", number, kind, data);
}

}  // namespace

const char* name(JobState state) {
  switch (state) {
    case JobState::queued:
      return "queued";
    case JobState::running:
      return "running";
    case JobState::done:
      return "done";
    case JobState::failed:
      return "failed";
    default:
      return "cancelled";
  }
}

Job::Job(std::string id, JobDescription description)
    : id_(std::move(id)),
      description_(std::move(description)),
      images_(static_cast<size_t>(description_.images)) {}

void Job::begin() {
  const std::lock_guard lock(mutex_);
  if (state_ == JobState::queued) state_ = JobState::running;
}

void Job::add_row(int64_t index, std::span<const uint8_t> pixels) {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended()) return;
    JobImage& image = images_[static_cast<size_t>(index)];
    std::ranges::copy(pixels, std::back_inserter(image.image.pixels));
    image_bytes_ += pixels.size();
    events_.push_back({static_cast<int32_t>(index), image.rows++});
  }
  changed_.notify_all();
}

void Job::finish_image(int64_t index, Image image, OrderedJson note) {
  const size_t bytes = image.pixels.size();
  finish_image(index, {.image = std::move(image), .note = std::move(note)}, bytes);
}

void Job::finish_image(int64_t index, StoredDrawing drawing, OrderedJson note) {
  finish_image(index,
               {.image = {drawing.width, drawing.height, {}},
                .draw = std::move(drawing.draw),
                .note = std::move(note)},
               drawing.bytes);
}

void Job::finish_image(int64_t index, JobImage finished, size_t bytes) {
  finished.rows = finished.image.height;
  finished.finished = true;
  const size_t note_bytes = on_one_line(finished.note).size();
  {
    const std::lock_guard lock(mutex_);
    if (has_ended()) return;
    JobImage& own = images_[static_cast<size_t>(index)];
    image_bytes_ += bytes + note_bytes - own.image.pixels.size();
    own = std::move(finished);
    events_.push_back({static_cast<int32_t>(index), Event::kFinished});
    if (++finished_ == description_.images) end(JobState::done);
  }
  changed_.notify_all();
}

void Job::finish(std::vector<uint8_t> file, OrderedJson note) {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended()) return;
    file_ = std::move(file);
    note_ = std::move(note);
    end(JobState::done);
  }
  changed_.notify_all();
}

void Job::fail(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended()) return;
    failure_ = why;
    end(JobState::failed);
  }
  changed_.notify_all();
}

bool Job::cancel() {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended()) return false;
    end(JobState::cancelled);
  }
  changed_.notify_all();
  return true;
}

// Nobody goes on with the other parts of a job that has ended early.
void Job::end(JobState state) {
  state_ = state;
  if (state != JobState::done) cancelled_ = true;
  ended_.notify_all();
}

JobState Job::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

bool Job::ended() const {
  const std::lock_guard lock(mutex_);
  return has_ended();
}

void Job::wait_for_end(std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, patience, [&] { return has_ended(); });
}

size_t Job::bytes() const {
  const std::lock_guard lock(mutex_);
  return file_.size() + events_.size() * sizeof(Event) + image_bytes_;
}

OrderedJson Job::summary() const {
  OrderedJson json = {{"id", id_},
                      {"kind", description_.kind},
                      {"state", name(state_)},
                      {"images_done", finished_}};
  if (state_ == JobState::failed) json["error"] = {{"code", "failed"}, {"message", failure_}};
  return json;
}

OrderedJson Job::to_json() const {
  const std::lock_guard lock(mutex_);
  OrderedJson json = summary();
  json["request"] = description_.request;
  json["images"] = OrderedJson::array();
  for (const JobImage& image : images_) {
    OrderedJson of_image = {{"finished", image.finished}, {"rows", image.rows}};
    if (image.finished) {
      of_image["width"] = image.image.width;
      of_image["height"] = image.image.height;
    }
    if (!image.note.is_null()) of_image.update(image.note);
    json["images"].push_back(std::move(of_image));
  }
  if (!note_.is_null()) json["result"] = note_;
  return json;
}

std::optional<Image> Job::image(int64_t index) const {
  std::function<Image()> draw;
  {
    const std::lock_guard lock(mutex_);
    const JobImage& image = images_[static_cast<size_t>(index)];
    if (!image.finished) return std::nullopt;
    if (!image.draw) return image.image;
    draw = image.draw;
  }
  return draw();  // which takes a while
}

std::vector<uint8_t> Job::file() const {
  const std::lock_guard lock(mutex_);
  return file_;
}

// Under the lock only bytes are copied; making text of them takes longer, and those who compute
// must not wait for it.
Job::Events Job::events(size_t first, std::chrono::milliseconds patience) const {
  Events found{.next = std::max<size_t>(first, 1)};
  std::vector<Event> events;
  std::vector<uint8_t> pixels;
  std::vector<OrderedJson> finished;
  OrderedJson end;
  const size_t row_bytes = size_t{3} * static_cast<size_t>(description_.width);
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return events_.size() >= found.next || has_ended(); });
    const size_t begin = std::min(found.next - 1, events_.size());
    events.assign(events_.begin() + static_cast<std::ptrdiff_t>(begin),
                  events_.begin() + static_cast<std::ptrdiff_t>(
                                        std::min(begin + kEventsAtATime, events_.size())));
    for (const Event& of : events) {
      const JobImage& image = images_[static_cast<size_t>(of.image)];
      if (of.row == Event::kFinished) {
        finished.push_back(
            {{"image", of.image}, {"width", image.image.width}, {"height", image.image.height}});
        if (!image.note.is_null()) finished.back().update(image.note);
      } else {
        const auto row = std::span<const uint8_t>(image.image.pixels)
                             .subspan(row_bytes * static_cast<size_t>(of.row), row_bytes);
        pixels.insert(pixels.end(), row.begin(), row.end());
      }
    }
    // The end is an event too, behind all others.
    found.last = has_ended() && begin + events.size() == events_.size();
    if (found.last && found.next <= events_.size() + 1) end = summary();
  }
  std::span<const uint8_t> rest = pixels;
  auto note = finished.begin();
  for (const Event& of : events) {
    if (of.row == Event::kFinished) {
      found.text += event_text(found.next++, "image", on_one_line(*note++));
    } else {
      const std::string row = to_base64(rest.first(row_bytes));
      rest = rest.subspan(row_bytes);
      found.text += event_text(
          found.next++, "row",
          fmt::format(R"({{"image":{},"row":{},"pixels":"{}"}})", of.image, of.row, row));
    }
  }
  if (!end.is_null()) found.text += event_text(found.next++, "end", on_one_line(end));
  return found;
}

}  // namespace combiner

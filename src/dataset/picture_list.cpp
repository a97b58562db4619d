#include "dataset/picture_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "base/plural.h"
#include "combiner/error.h"
#include "image/picture_format.h"
#include "image/read_image.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

constexpr size_t kNamesShown = 3;  // for each reason

std::string words_of(int error) { return std::generic_category().message(error); }

// Throws Error if it is not the file's fault.
std::string why_unreadable(const fs::path& path) {
  const std::string reason = "can't be read, " + words_of(errno);
  if (errno == ENOMEM || errno == EMFILE || errno == ENFILE)
    throw Error(fmt::format("{}: {}", path.string(), reason));
  return reason;
}

// Why the file isn't a picture that can be read; empty if it is one.
std::string objection_to(const fs::path& path) {
  std::array<uint8_t, kSignatureBytes> bytes;
  std::ifstream in;
  in.rdbuf()->pubsetbuf(nullptr, 0);  // a buffer would be filled in vain
  errno = 0;
  in.open(path, std::ios::binary);
  if (!in) return why_unreadable(path);
  in.read(reinterpret_cast<char*>(bytes.data()), bytes.size());
  if (in.bad()) return why_unreadable(path);
  const auto size = static_cast<size_t>(in.gcount());
  if (size == 0) return "empty";
  if (is_picture(std::span(bytes).first(size))) return {};
  return has_image_extension(path) ? "not readable as pictures despite their names"
                                   : "not pictures";
}

class Lister {
 public:
  explicit Lister(const fs::path& folder) : folder_(folder) {}

  PictureList list() {
    remember_folders_above();
    if (const std::error_code error = read_folder(""))
      throw Error(fmt::format("{}: can't list the folder: {}", folder_.string(), error.message()));
    // Linked folders come last, so that a folder with a name of its own is read by that.
    while (!linked_folders_.empty()) {
      const std::string name = linked_folders_.extract(linked_folders_.begin()).value();
      if (const std::error_code error = read_folder(name)) ignore_unreadable(name, error);
    }
    std::ranges::sort(list_.names);
    describe_ignored();
    return std::move(list_);
  }

 private:
  using FolderId = std::pair<dev_t, ino_t>;

  struct Ignored {
    int64_t count = 0;
    std::set<std::string> first;  // at most kNamesShown names
  };

  fs::path path_of(const std::string& name) const {
    return name.empty() ? folder_ : folder_ / name;
  }

  // A link to a folder above the first one leads out of the data, and round to it again.
  void remember_folders_above() {
    std::error_code ignored;  // if the folder can't be examined, reading it fails with a message
    fs::path above = fs::canonical(folder_, ignored);
    while (above.has_relative_path()) {
      above = above.parent_path();
      if (const auto id = id_of(above)) read_.insert(*id);
    }
  }

  static std::optional<FolderId> id_of(const fs::path& path) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) return std::nullopt;
    return FolderId{status.st_dev, status.st_ino};
  }

  // Takes up the entries of a folder and of the folders in it.
  std::error_code read_folder(const std::string& name) {
    const fs::path path = path_of(name);
    const auto id = id_of(path);
    if (!id) return {errno, std::generic_category()};
    if (!read_.insert(*id).second) {
      ignore(name, "folders above or read already");
      return {};
    }
    std::error_code error;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error))
      add(*entry, name);
    return error;
  }

  void add(const fs::directory_entry& entry, const std::string& folder) {
    const std::string file_name = entry.path().filename().string();
    if (file_name.starts_with('.')) return;
    const std::string name = folder.empty() ? file_name : folder + '/' + file_name;
    std::error_code error;
    const fs::file_type type = entry.status(error).type();
    if (type == fs::file_type::regular) {
      add_file(name);
    } else if (type == fs::file_type::directory) {
      std::error_code not_a_link;
      if (entry.is_symlink(not_a_link))
        linked_folders_.insert(name);
      else if (const std::error_code problem = read_folder(name))
        ignore_unreadable(name, problem);
    } else if (type == fs::file_type::not_found) {
      ignore(name, "links to nothing");
    } else if (error) {
      ignore_unreadable(name, error);
    } else {
      ignore(name, "devices, pipes or sockets");
    }
  }

  void add_file(const std::string& name) {
    const std::string objection = objection_to(path_of(name));
    if (objection.empty())
      list_.names.push_back(name);
    else
      ignore(name, objection);
  }

  void ignore_unreadable(const std::string& name, const std::error_code& error) {
    ignore(name, "can't be read, " + error.message());
  }

  void ignore(const std::string& name, const std::string& reason) {
    ++list_.ignored;
    Ignored& ignored = ignored_[reason];
    ++ignored.count;
    ignored.first.insert(name);
    if (ignored.first.size() > kNamesShown) ignored.first.erase(std::prev(ignored.first.end()));
  }

  void describe_ignored() {
    for (const auto& [reason, ignored] : ignored_) {
      if (!list_.reasons.empty()) list_.reasons += "; ";
      list_.reasons += fmt::format("{}: {}", reason, first_names(ignored.first, ignored.count));
    }
  }

  fs::path folder_;
  std::set<FolderId> read_;                 // and those above the first
  std::set<std::string> linked_folders_;    // to read yet
  std::map<std::string, Ignored> ignored_;  // by reason
  PictureList list_;
};

}  // namespace

bool is_picture_file(const fs::path& path) { return objection_to(path).empty(); }

PictureList list_pictures(const fs::path& folder) { return Lister(folder).list(); }

std::string first_names(const std::set<std::string>& names, int64_t all) {
  const auto shown = std::min(std::ssize(names), static_cast<std::ptrdiff_t>(kNamesShown));
  const auto end = std::next(names.begin(), shown);
  const std::string list = fmt::format("{}", fmt::join(names.begin(), end, ", "));
  return all > shown ? fmt::format("{} and {} more", list, all - shown) : list;
}

std::string summary(const fs::path& folder, const PictureList& list) {
  return fmt::format("{}: {}, {} ignored ({})", folder.string(),
                     plural(std::ssize(list.names), "image"), list.ignored, list.reasons);
}

}  // namespace combiner

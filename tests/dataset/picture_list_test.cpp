#include "dataset/picture_list.h"

#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "catch.h"
#include "error_of.h"
#include "file_text.h"
#include "temp_folder.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

// A folder to list, with its files.
class Folder {
 public:
  void picture(const fs::path& name) { file(name, "P5\n1 1\n255\nx"); }
  void file(const fs::path& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    write_text(folder_ / name, text);
  }
  void folder(const fs::path& name) { fs::create_directories(folder_ / name); }
  // A link at `name` to `target`, which is relative to the link.
  void link(const fs::path& target, const fs::path& name) {
    fs::create_directories((folder_ / name).parent_path());
    fs::create_symlink(target, folder_ / name);
  }
  fs::path operator/(const fs::path& name) const { return folder_ / name; }

 private:
  TempFolder folder_;
};

TEST_CASE("Pictures are listed by content, in the order of their bytes, at any depth") {
  Folder folder;
  for (const char* name :
       {"data/b.png", "data/b-c/x", "data/b/c.JPEG", "data/b/deep/er/a.txt", "data/\xC3\xA9.png",
        "data/Z", "data/a", "data/.hidden.png", "data/.hidden/e.png", "data/b/.f.png"})
    folder.picture(name);
  folder.folder("data/empty.png");
  const Names expected = {"Z",           "a", "b-c/x", "b.png", "b/c.JPEG", "b/deep/er/a.txt",
                          "\xC3\xA9.png"};
  for (const fs::path& path : {folder / "data", folder / "data/"}) {
    const PictureList list = list_pictures(path);
    CHECK(list.names == expected);
    CHECK(list.ignored == 0);
    CHECK(list.reasons.empty());
  }
  CHECK(list_pictures(folder / "data/empty.png").names.empty());
}

TEST_CASE("What is no picture is counted as ignored, with the reason and the first names") {
  Folder folder;
  folder.picture("data/a/1.png");
  for (const char* name : {"5.txt", "4.txt", "3.txt", "2.txt", "a/1.txt"})
    folder.file(fs::path("data") / name, "a caption");
  folder.file("data/page.jpg", "<html>");
  folder.file("data/full-disk.png", "");
  folder.link("nowhere", "data/gone.png");
  folder.link("loop.png", "data/loop.png");
  REQUIRE(mkfifo((folder / "data/pipe").c_str(), 0600) == 0);
  const PictureList list = list_pictures(folder / "data");
  CHECK(list.names == Names{"a/1.png"});
  CHECK(list.ignored == 10);
  CHECK(list.reasons ==
        "can't be read, Too many levels of symbolic links: loop.png; devices, pipes or sockets: "
        "pipe; empty: full-disk.png; links to nothing: gone.png; not pictures: 2.txt, 3.txt, "
        "4.txt and 2 more; not readable as pictures despite their names: page.jpg");
  CHECK(summary("data", list) == "data: 1 image, 10 ignored (" + list.reasons + ")");
}

TEST_CASE("Links to pictures and folders are followed") {
  Folder folder;
  folder.picture("elsewhere/cats/1.png");
  folder.picture("elsewhere/one.png");
  folder.picture("data/dog/2.png");
  folder.link("../elsewhere/cats", "data/cat");
  folder.link("../../elsewhere/one.png", "data/dog/1.png");
  folder.link("2.png", "data/dog/3.png");
  folder.link("data", "link");
  const Names expected = {"cat/1.png", "dog/1.png", "dog/2.png", "dog/3.png"};
  CHECK(list_pictures(folder / "data").names == expected);
  CHECK(list_pictures(folder / "link").names == expected);
  CHECK(list_pictures(folder / "data").ignored == 0);
}

TEST_CASE("A folder is read once, whatever links lead to it") {
  Folder folder;
  folder.picture("data/m/1.png");
  folder.picture("elsewhere/2.png");
  folder.picture("above.png");
  folder.link("m", "data/a");          // a second name of m
  folder.link("..", "data/m/parent");  // round to the folder itself
  folder.link(".", "data/m/self");
  folder.link("../..", "data/m/out");  // out and round
  folder.link("../elsewhere", "data/y");
  folder.link("../elsewhere", "data/x");
  folder.link("../data", "elsewhere/back");  // round by another folder
  const PictureList list = list_pictures(folder / "data");
  CHECK(list.names == Names{"m/1.png", "x/2.png"});
  CHECK(list.ignored == 6);
  CHECK(list.reasons == "folders above or read already: a, m/out, m/parent and 3 more");
}

TEST_CASE("Folders that link to each other are listed in no more than a moment") {
  Folder folder;
  for (int i = 0; i < 30; ++i) {
    const std::string name = "data/" + std::to_string(i);
    folder.picture(name + "/picture");
    for (int j = 0; j < 30; ++j)
      folder.link("../" + std::to_string(j), name + "/link" + std::to_string(j));
  }
  const PictureList list = list_pictures(folder / "data");
  CHECK(list.names.size() == 30);
  CHECK(list.ignored == 900);
}

TEST_CASE("A folder that can't be read is ignored, unless it is the one to list") {
  Folder folder;
  folder.picture("data/a/1.png");
  folder.picture("data/lost+found/2.png");
  folder.picture("data/secret.png");
  fs::permissions(folder / "data/lost+found", fs::perms::none);
  fs::permissions(folder / "data/secret.png", fs::perms::none);
  // Root may read every folder, so it becomes another user, but stays in its group.
  for (const char* path : {"", "data", "data/a", "data/a/1.png"})
    fs::permissions(folder / path, fs::perms::group_read | fs::perms::group_exec,
                    fs::perm_options::add);
  const bool is_root = geteuid() == 0;
  constexpr uid_t kNobody = 65534;
  if (is_root && seteuid(kNobody) != 0) SKIP_TEST("root can't become another user");
  const PictureList list = list_pictures(folder / "data");
  const std::string refused = error_of([&] { list_pictures(folder / "data/lost+found"); });
  if (is_root) REQUIRE(seteuid(0) == 0);
  CHECK(list.names == Names{"a/1.png"});
  CHECK(list.reasons == "can't be read, Permission denied: lost+found, secret.png");
  CHECK_THAT(refused, contains("lost+found: can't list the folder: Permission denied"));
  fs::permissions(folder / "data/lost+found", fs::perms::owner_all);
}

TEST_CASE("A folder that doesn't exist is an Error") {
  Folder folder;
  CHECK_THAT(error_of([&] { list_pictures(folder / "none"); }),
             contains("none: can't list the folder: No such file"));
  folder.link("self", "self");
  CHECK_THAT(error_of([&] { list_pictures(folder / "self"); }),
             contains("self: can't list the folder: Too many levels"));
}

}  // namespace
}  // namespace combiner

// What each command does when the system fails it: the k-th write, allocation and so on. The tests
// try some k of each kind, the hidden ones, [.all], every k and print what they found.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <regex>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"
#include "cli/run_program.h"
#include "combiner/error.h"
#include "data_folders.h"
#include "file_text.h"
#include "image/read_image.h"
#include "image/write_png.h"
#include "random.h"
#include "temp_folder.h"
#include "training/checkpoint.h"
#include "training/log_rows.h"
#include "training/tiny_training.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

struct Kind {
  const char* name;
  const char* reason;  // what the message says; "" if it may say it in words of its own
  bool is_error = true;
  bool is_memory = false;
};
constexpr Kind kKinds[] = {
    {"write", "No space left on device"},
    {"short-write", "", false},
    {"stopped-write", "", false},
    {"sync", "Input/output error"},
    {"rename", "Input/output error"},
    {"open", "Too many open files"},
    {"map", "", true, true},
    {"thread", "Resource temporarily unavailable"},
    {"allocate", "", true, true},
};

// Code of others that ends the program if an allocation fails inside it; nothing of ours can
// prevent that.
struct Culprit {
  const char* name;
  const char* words;  // on standard error, or of the functions in which the program crashed
};
constexpr Culprit kCulprits[] = {
    {"oneDNN", "libdnnl.so"},                      // uses what it didn't get
    {"OpenCV", "libopencv_core.so"},               // allocates when a thread ends
    {"GDAL", "libgdal.so"},                        // aborts
    {"nlohmann::json", "nlohmann::"},              // allocates in its destructor
    {"glibc", "libgcc_s.so.1 must be installed"},  // exceptions in call_once load a library
    {"libgomp", "libgomp: "},                      // exits
    {"CLI11", "CLI::Option::check_name"},          // allocates, but is noexcept
    {"libstdc++", "18directory_iterator"},         // likewise
};
// GCC's path::operator/= frees its parts twice if this function gets no memory.
constexpr const char* kPathJoin = "_ZNSt10filesystem7__cxx114pathdV";

// Calls of a kind that are tried. All take long, so what they found is printed as it is found.
constexpr int kFew = 6;
constexpr int kAll = 1 << 30;

// The files of a folder, by their paths in it.
using Files = std::map<std::string, std::string>;

Files files_in(const fs::path& folder) {
  Files files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (!entry.is_directory())
      files[fs::relative(entry.path(), folder).string()] = read_text(entry.path());
  return files;
}

void restore(const fs::path& folder, const Files& files) {
  const Files now = files_in(folder);
  for (const auto& [name, text] : now)
    if (!files.contains(name)) fs::remove(folder / name);
  for (const auto& [name, text] : files)
    if (const auto found = now.find(name); found == now.end() || found->second != text)
      write_text(folder / name, text);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string without_speed(const std::string& text) {
  static const std::regex speed("[0-9.e+-]+ images/s|images/s +[0-9.e+-]+");
  return std::regex_replace(text, speed, "SPEED");
}

template <class Load>
bool loads(const Load& load) {
  try {
    load();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A command with its inputs and the outputs of an earlier run, in a folder of its own.
class Scene {
 public:
  virtual ~Scene() = default;

  // Tries `most` calls of each kind, evenly spread, or all.
  void try_kinds(int most) {
    before_ = files_in(folder.path());
    const ProgramResult whole = run_combiner(arguments);
    INFO(whole.err);
    REQUIRE(whole.exit_code == 0);
    out_ = without_speed(whole.out);
    after_ = files_in(folder.path());
    for (const Kind& kind : kKinds)
      for (const char* lasting : {"", "+"})
        if (kind.is_error || !*lasting) try_kind(kind, lasting, most);
  }

  TempFolder folder;
  std::vector<std::string> arguments;

 protected:
  // What of a file must be as it is without a failure.
  virtual std::string essence(const std::string& /*name*/, const std::string& text) const {
    return text;
  }
  // Whether a file is one that the command writes on its way.
  virtual bool is_whole(const std::string& /*name*/) const { return false; }
  // What is wrong after a failure; empty if nothing is.
  virtual std::string aftermath() const { return {}; }

  const Files& after() const { return after_; }

 private:
  ProgramResult run(const Kind& kind, int call, const char* lasting) const {
    restore(folder.path(), before_);
    fs::remove(notes_ / "trace");
    fs::remove(notes_ / "count");
    return RunningProgram(arguments, {}, COMBINER_PROGRAM,
                          {std::string("LD_PRELOAD=") + COMBINER_FAIL_CALLS,
                           fmt::format("FAIL_CALL={}:{}{}", kind.name, call, lasting),
                           "FAIL_CALL_COUNT=" + (notes_ / "count").string(),
                           "FAIL_CALL_TRACE=" + (notes_ / "trace").string()})
        .wait();
  }

  void try_kind(const Kind& kind, const char* lasting, int most) {
    run(kind, 0, "");
    const int calls = std::stoi(read_text(notes_ / "count"));
    INFO(kind.name);
    // Or they are not seen. Memory is mapped for large weights, and by some of oneDNN's kernels.
    CHECK((calls > 0 || std::string_view(kind.name) == "map"));
    const int tried = std::min(calls, most);
    std::map<std::string, int> outcomes;
    for (int i = 0; i < tried; ++i) {
      const int call =
          tried < calls ? 1 + static_cast<int>(int64_t{i} * (calls - 1) / (tried - 1)) : 1 + i;
      const ProgramResult result = run(kind, call, lasting);
      std::string outcome = culprit(kind, result);
      if (outcome.empty()) {
        outcome = result.exit_code == 0 ? "succeeded" : "failed";
        const std::string complaint = judge(kind, result);
        INFO(fmt::format("FAIL_CALL={}:{}{} {}\nexit code {}\n{}\n{}", kind.name, call, lasting,
                         fmt::join(arguments, " "), result.exit_code, result.err,
                         complaint.empty() ? "" : trace()));
        CHECK(complaint == "");
        if (!complaint.empty()) outcome = "WRONG";
      }
      ++outcomes[outcome];
    }
    if (most < kAll) return;
    std::string row = fmt::format("{}{}: {} of {} calls", kind.name, lasting, tried, calls);
    for (const auto& [outcome, count] : outcomes) row += fmt::format(", {} {}", count, outcome);
    fmt::print("{}\n", row);
    std::fflush(stdout);
  }

  std::string judge(const Kind& kind, const ProgramResult& result) const {
    const Files now = files_in(folder.path());
    if (result.exit_code == 0) {
      if (without_speed(result.out) != out_) return "another result: " + result.out;
      for (const auto& [name, text] : after_)
        if (!now.contains(name) || essence(name, now.at(name)) != essence(name, text))
          return name + " is not as it should be";
      return now.size() == after_.size() ? "" : "a file too many";
    }
    if (!kind.is_error) return "failed without need";
    if (result.exit_code != 1) return fmt::format("ended with {}", result.exit_code);
    if (!has("\n" + result.err, "\ncombiner: ")) return "no message";
    if (!has(result.err, kind.reason)) return "no reason";
    for (const auto& [name, text] : before_)
      if (!now.contains(name)) return name + " is gone";
    for (const auto& [name, text] : now) {
      const auto earlier = before_.find(name);
      if (earlier != before_.end() && earlier->second == text) continue;
      const auto complete = after_.find(name);
      if (complete == after_.end()) {
        if (is_whole(name) && has(result.err, name)) continue;
        return name + " was left";
      }
      if (essence(name, text) != essence(name, complete->second) && !is_whole(name))
        return name + " is neither as before nor complete";
    }
    return aftermath();
  }

  // Whose code ended the program; empty if it was the program's own.
  std::string culprit(const Kind& kind, const ProgramResult& result) const {
    if (!kind.is_memory) return {};
    if (result.exit_code == 128 + SIGALRM) return hangs_in_onednn() ? "hung in oneDNN" : "";
    const bool crashed = result.exit_code == 128 + SIGABRT || result.exit_code == 128 + SIGSEGV;
    if (!crashed && !has(result.err, "libgomp: ")) return {};
    const std::string functions = trace();
    const size_t crash = std::min(functions.find("crashed in"), functions.size());
    if (has(functions.substr(0, crash), kPathJoin)) return "ended by std::filesystem::path";
    const std::string words = result.err + functions.substr(crash);
    for (const Culprit& one : kCulprits)
      if (has(words, one.words)) return fmt::format("ended by {}", one.name);
    return {};
  }

  // oneDNN throws bad_alloc with a lock held, for which the next thread then waits without end.
  // That takes two threads that enter it at once.
  bool hangs_in_onednn() const {
    const std::string functions = trace(), title = "hung in\n";
    for (size_t at = functions.find(title); at != std::string::npos;) {
      const size_t next = functions.find(title, at + title.size());
      const std::string thread = functions.substr(at, next - at);
      if (has(thread, "libdnnl.so") && has(thread, "pthread_rwlock_")) return true;
      at = next;
    }
    return false;
  }

  // Where the call failed and where the program crashed or hung. Functions of the program itself
  // are only addresses there, which addr2line knows the names of.
  std::string trace() const {
    std::string text = read_text(notes_ / "trace");
    std::string command = std::string("addr2line -Cfe ") + COMBINER_PROGRAM;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const std::string start = std::string(COMBINER_PROGRAM) + "(+";
      if (line.starts_with(start))
        command += " " + line.substr(start.size(), line.find(')') - start.size());
    }
    const std::unique_ptr<FILE, int (*)(FILE*)> names(::popen(command.c_str(), "r"), ::pclose);
    std::array<char, 512> part;
    while (names && std::fgets(part.data(), part.size(), names.get())) text += part.data();
    return text;
  }

  Files before_, after_;
  std::string out_;
  TempFolder notes_folder_;
  fs::path notes_ = notes_folder_.path();
};

// A small model, and pictures for it.
class ModelScene : public Scene {
 public:
  ModelScene() {
    fs::copy_file(golden_folder() / "axial.safetensors", folder / "model.safetensors");
    const ImageShape shape = load_weights(model()).config.image;
    Random random(1);
    fs::create_directory(folder / "pictures");
    for (const char* name : {"first.png", "second.png"})
      write_png(folder / "pictures" / name,
                {shape.width, shape.height, random.bytes(size_t{3} * shape.width * shape.height)});
  }

 protected:
  std::string model() const { return (folder / "model.safetensors").string(); }
  std::string pictures() const { return (folder / "pictures").string(); }
  // The file of an earlier run.
  std::string earlier(const char* name) const {
    return write_text(folder / name, "of an earlier run\n").string();
  }
};

struct SampleScene : ModelScene {
  SampleScene() {
    fs::create_directory(folder / "drawn");
    earlier("drawn/00001.png");
    arguments = {"sample",
                 "--model",
                 model(),
                 "-n",
                 "2",
                 "--seed",
                 "1",
                 "--precision",
                 "f32",
                 "--threads",
                 "2",
                 "-o",
                 (folder / "drawn/").string()};
  }
};

struct CompleteScene : ModelScene {
  CompleteScene() {
    arguments = {"complete",    (folder / "pictures/first.png").string(),
                 "--keep-rows", "1",
                 "--model",     model(),
                 "--seed",      "1",
                 "-n",          "2",
                 "--precision", "f32",
                 "--threads",   "2",
                 "-o",          earlier("sheet.png")};
  }

 protected:
  // What was drawn until then.
  bool is_whole(const std::string& name) const override {
    return name == "sheet.partial.png" && loads([&] { read_image(folder / name); });
  }
};

struct EvalScene : ModelScene {
  EvalScene() {
    arguments = {"eval", "--model",   model(), "--data", pictures(),          "--precision",
                 "f32",  "--threads", "2",     "--csv",  earlier("table.csv")};
  }

 protected:
  // The table has the images that were done.
  bool is_whole(const std::string& name) const override {
    if (name != "table.csv") return false;
    std::istringstream rows(read_text(folder / name));
    const std::string all = "\n" + after().at(name);
    for (std::string row; std::getline(rows, row);)
      if (!has(all, "\n" + row + "\n")) return false;
    return true;
  }
};

struct QuantizeScene : ModelScene {
  QuantizeScene() {
    const std::string output = (folder / "int8.safetensors").string();
    fs::copy_file(model(), output);  // only weights are replaced
    arguments = {"quantize",  "--model", model(), "--data", pictures(),
                 "--threads", "2",       "-o",    output};
  }
};

// The fourth cell of a row.
const std::regex kValidation("^((?:[^,]*,){3})[^,]*,");

class TrainScene : public Scene {
 public:
  TrainScene() {
    write_text(folder / "config.json", to_json(tiny_config()));
    const auto pictures = tiny_pictures(6);
    fs::create_directory(folder / "pictures");
    for (int64_t i = 0; i < pictures->size(); ++i) {
      std::string pixels(3 * kTinySide * kTinySide, '\0');
      pictures->read(i, std::span(reinterpret_cast<uint8_t*>(pixels.data()), pixels.size()));
      write_text(folder / fmt::format("pictures/{}.ppm", i),
                 fmt::format("P6 {0} {0} 255\n", kTinySide) + pixels);
    }
    arguments = first("3");
  }

 protected:
  std::vector<std::string> command(const char* steps) const {
    return {"train",
            "--data",
            (folder / "pictures").string(),
            "-o",
            (folder / "a.safetensors").string(),
            "--validation-images",
            "2",
            "--batch",
            "2",
            "--decay",
            "0",
            "--checkpoint-minutes",
            "0",
            "--precision",
            "f32",
            "--threads",
            "2",
            "--steps",
            steps};
  }
  std::vector<std::string> first(const char* steps) const {
    std::vector<std::string> words = command(steps);
    words.insert(words.end(), {"--config", (folder / "config.json").string()});
    return words;
  }
  std::vector<std::string> resumed(const char* steps) const {
    std::vector<std::string> words = command(steps);
    words.insert(words.end(), {"--resume", (folder / "a.checkpoint").string()});
    return words;
  }

  std::string essence(const std::string& name, const std::string& text) const override {
    if (name == "a.csv") return fmt::format("{}", timeless_rows_of(text));
    if (name != "a.checkpoint") return text;
    uint64_t header_size = 0;  // the header has a time
    std::memcpy(&header_size, text.data(), sizeof header_size);
    return text.substr(sizeof header_size + header_size);
  }

  bool is_whole(const std::string& name) const override {
    if (name == "a.safetensors") return loads([&] { load_weights(folder / name); });
    if (name == "a.checkpoint") return loads([&] { read_checkpoint_header(folder / name); });
    if (name != "a.csv") return false;
    std::vector<std::string> rows = timeless_rows_of(read_text(folder / name));
    const std::vector<std::string> all = timeless_rows_of(after().at(name));
    if (!rows.empty() && !all[rows.size() - 1].starts_with(rows.back())) return false;
    if (!rows.empty()) rows.pop_back();  // the last may be incomplete
    return rows.size() <= all.size() && std::equal(rows.begin(), rows.end(), all.begin());
  }

  // The training can go on, and ends as if nothing had failed.
  std::string aftermath() const override {
    const bool begun = fs::exists(folder / "a.checkpoint");
    const ProgramResult result = run_combiner(begun ? resumed("3") : first("3"));
    if (result.exit_code != 0) return "can't go on: " + result.err;
    for (const auto& [name, text] : after())
      if (essence(name, read_text(folder / name)) != essence(name, text))
        return name + " is another after going on";
    return {};
  }

 private:
  // Without the validation's figure: a step that was made is kept if only its validation fails.
  static std::vector<std::string> timeless_rows_of(const std::string& text) {
    const TempFolder folder;
    std::vector<std::string> rows = timeless_rows(write_text(folder / "log", text));
    for (std::string& row : rows) row = std::regex_replace(row, kValidation, "$1");
    return rows;
  }
};

struct ResumeScene : TrainScene {
  ResumeScene() {
    REQUIRE(run_combiner(first("1")).exit_code == 0);
    arguments = resumed("3");
  }
};

template <class AnyScene>
void survives(int most) {
  if (kAddressSanitizer) SKIP_TEST("the address sanitizer has allocation functions of its own");
  AnyScene().try_kinds(most);
}

TEST_CASE("faults: sample loses nothing whatever fails") { survives<SampleScene>(kFew); }
TEST_CASE("faults: complete loses nothing whatever fails") { survives<CompleteScene>(kFew); }
TEST_CASE("faults: eval loses nothing whatever fails") { survives<EvalScene>(kFew); }
TEST_CASE("faults: quantize loses nothing whatever fails") { survives<QuantizeScene>(kFew); }
TEST_CASE("faults: train loses nothing whatever fails") { survives<TrainScene>(kFew); }
TEST_CASE("faults: train --resume loses nothing whatever fails") { survives<ResumeScene>(kFew); }

TEST_CASE("faults: every call of sample", "[.all]") { survives<SampleScene>(kAll); }
TEST_CASE("faults: every call of complete", "[.all]") { survives<CompleteScene>(kAll); }
TEST_CASE("faults: every call of eval", "[.all]") { survives<EvalScene>(kAll); }
TEST_CASE("faults: every call of quantize", "[.all]") { survives<QuantizeScene>(kAll); }
TEST_CASE("faults: every call of train", "[.all]") { survives<TrainScene>(kAll); }
TEST_CASE("faults: every call of train --resume", "[.all]") { survives<ResumeScene>(kAll); }

}  // namespace
}  // namespace combiner

// Runs the programs as a user does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "file_text.h"

namespace combiner {

struct ProgramResult {
  int exit_code = -1;  // 128 + the number of the signal that ended the program, if one did
  std::string out, err;
};

// A running program. The destructor kills it unless wait() has returned.
class RunningProgram {
 public:
  // Standard output goes to `out_path` (such as a device) if given, and is captured otherwise.
  // `environment` has variables (NAME=value) besides those of this process.
  explicit RunningProgram(const std::vector<std::string>& arguments,
                          const std::string& out_path = {},
                          const std::string& program = COMBINER_PROGRAM,
                          std::vector<std::string> environment = {});
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  int process() const { return process_; }
  void send(int signal) const;
  ProgramResult wait();

 private:
  int process_ = -1;
  int out_ = -1, err_ = -1;  // nameless files
};

// Writes a script for the shell that can be run as a program. Returns its path.
inline std::filesystem::path write_script(const std::filesystem::path& path,
                                          const std::string& commands) {
  write_text(path, "#!/bin/sh\n" + commands + "\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

// Waits until the program has opened a file in the folder, which may have no name yet.
bool opens_file_in(const RunningProgram& program, const std::filesystem::path& folder);

// Runs `combiner` with these arguments and waits for it to end.
inline ProgramResult run_combiner(const std::vector<std::string>& arguments) {
  return RunningProgram(arguments).wait();
}

}  // namespace combiner

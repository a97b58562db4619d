// Runs the program as a user does.
#pragma once

#include <string>
#include <vector>

namespace combiner {

struct ProgramResult {
  int exit_code = -1;  // 128 + the signal's number if one ended the program
  std::string out, err;
};

// A program that has been started; killed if nobody waits for it.
class RunningProgram {
 public:
  // Standard output goes to `out_path` (a device, say) if that is given, else it is captured.
  explicit RunningProgram(const std::vector<std::string>& arguments,
                          const std::string& out_path = {},
                          const std::string& program = COMBINER_PROGRAM);
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const;
  ProgramResult wait();

 private:
  int process_ = -1;
  int out_ = -1, err_ = -1;  // files without names
};

// Runs `combiner` with these arguments to its end.
inline ProgramResult run_combiner(const std::vector<std::string>& arguments) {
  return RunningProgram(arguments).wait();
}

}  // namespace combiner

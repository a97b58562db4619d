// combiner completion: prints a script for a shell.

#include "cli/shell_completion.h"

#include <memory>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/program.h"

namespace combiner {

Action shell_completion_command(CLI::App& command) {
  const auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "Shell to print a script for")
      ->option_text("{bash,zsh,fish} REQUIRED")
      ->check(one_of({"bash", "zsh", "fish"}))
      ->required();
  command.footer(
      "To try it in bash: source <(combiner completion bash). Packages install the scripts.");
  return [shell, &command] {
    const CLI::App& program = *command.get_parent();
    const std::string script = *shell == "bash"  ? bash_completion(program)
                               : *shell == "zsh" ? zsh_completion(program)
                                                 : fish_completion(program);
    put("{}", script);
  };
}

}  // namespace combiner

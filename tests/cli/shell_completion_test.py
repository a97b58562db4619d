"""Completes command lines of combiner with a real shell.

Usage: shell_completion_test.py PROGRAM bash|zsh|fish
"""

import os
import pty
import shlex
import shutil
import subprocess
import sys
import tempfile
import tty
import unittest

PROGRAM = sys.argv[1]
SHELL = sys.argv[2]
FILES = ["data.npz", "model.safetensors"]


def run(*command, **settings):
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, **settings
    ).stdout


def complete_with_bash(script, lines):
    """Calls the function as bash does. Bash itself completes file names after `compopt -o default`,
    which is an error outside of a completion, so here it is a function."""
    test = f"source {shlex.quote(script)}; compopt() {{ [[ $* == '-o default' ]] && files=(*); }}\n"
    for line in lines:
        words = line.replace("=", " = ").split(" ")
        words = [word for word in words[:-1] if word] + words[-1:]
        quoted = " ".join(shlex.quote(word) for word in words)
        test += f"""files=() COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
_combiner combiner
printf '%s\\n' "${{COMPREPLY[@]}}" "${{files[@]}}" 'end of line'
"""
    return run("bash", "--norc", "-c", test)


def complete_with_fish(script, lines):
    test = f"source {shlex.quote(script)}\n"
    for line in lines:
        offers = f"complete -C {shlex.quote(line)} | string replace -r '\\t.*' ''"
        test += f"{offers}; echo 'end of line'\n"
    return run("fish", "--no-config", "-c", test)


def complete_with_zsh(script, lines):
    """Types the lines at a terminal, and notes what the completion adds."""
    folder = os.path.dirname(script)
    found, settings = os.path.join(folder, "found"), os.path.join(folder, "settings")
    # Calls with -O, -A or -D add nothing. Without the style, a tab typed ahead is only a tab.
    with open(settings, "w") as file:
        file.write(f"""unsetopt auto_list auto_menu beep
autoload -Uz compinit && compinit -D -u
zstyle ':completion:*' insert-tab false
source {shlex.quote(script)}
compadd() {{
  local -a noted
  if (( ! ${{@[(I)-(O|A|D)]}} )); then
    builtin compadd -O noted "$@"
    print -rl -- $noted >> {found}
  fi
  builtin compadd "$@"
}}
""")
    typed = f"source {settings}\n"
    for line in lines:
        typed += f"{line}\t\x15print 'end of line' >> {found}\n"
    main, terminal = pty.openpty()
    tty.setraw(terminal)  # or it would handle the control characters that are typed ahead
    try:
        with subprocess.Popen(
            ["zsh", "-f", "-i"], stdin=terminal, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        ) as zsh:
            os.write(main, (typed + "exit\n").encode())
            zsh.wait(timeout=60)
    finally:
        os.close(terminal)
        os.close(main)
    with open(found) as file:
        return file.read()


COMPLETE = {"bash": complete_with_bash, "zsh": complete_with_zsh, "fish": complete_with_fish}


class CompletionTest(unittest.TestCase):
    def complete(self, *lines):
        """What the shell offers for each of these lines with the cursor at their ends."""
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "script")
            with open(script, "w") as file:
                file.write(run(PROGRAM, "completion", SHELL))
            here = os.path.join(folder, "here")
            os.mkdir(here)
            for name in FILES:
                open(os.path.join(here, name), "w").close()
            before = os.getcwd()
            os.chdir(here)
            try:
                offers = COMPLETE[SHELL](script, lines)
            finally:
                os.chdir(before)
        *parts, rest = offers.split("end of line\n")
        self.assertEqual(rest, "")
        self.assertEqual(len(parts), len(lines))
        return [sorted(set(filter(None, part.split("\n")))) for part in parts]

    def test_offers(self):
        subcommand, subcommands, option, choices, shells, files, output, number = self.complete(
            "combiner sam",
            "combiner ",
            "combiner sample --prec",
            "combiner sample --precision ",
            "combiner completion ",
            "combiner sample --model ",
            "combiner sample --seed 1 -o ",
            "combiner sample --seed ",
        )
        self.assertEqual(subcommand, ["sample"])
        for name in ["bench", "completion", "eval", "sample", "train"]:
            self.assertIn(name, subcommands)
        self.assertEqual(option, ["--precision"])
        self.assertEqual(choices, ["auto", "bf16", "f32", "int8"])
        self.assertEqual(shells, ["bash", "fish", "zsh"])
        self.assertEqual(files, FILES)
        self.assertEqual(output, FILES)
        self.assertEqual(number, [])

    def test_option_joined_to_its_value(self):
        (choices,) = self.complete("combiner sample --precision=b")
        self.assertEqual([offer.split("=")[-1] for offer in choices], ["bf16"])

    def test_options_of_the_program(self):
        before, after, choices = self.complete(
            "combiner --ver", "combiner eval --vers", "combiner eval --isa avx2"
        )
        self.assertEqual(before, ["--version"])
        self.assertEqual(after, ["--version"])
        self.assertEqual(choices, ["avx2"])


if __name__ == "__main__":
    if shutil.which(SHELL) is None:
        print(f"skipped: {SHELL} is not installed")
    else:
        unittest.main(argv=sys.argv[:1])

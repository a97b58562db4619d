#!/usr/bin/env python3
"""Runs the commands that a page shows, and compares what they print with what the page shows.

Usage: run_blocks.py PROGRAM PAGE [--needs WORD]...

PAGE is relative to the repository. Its commands run one after another, each by bash, in a temporary
folder that looks like a clone in which PROGRAM, the program combiner, was built; it is also the
first in PATH. Data that the repository lacks is random there (stand_ins.py). A command fails the
test if its exit code is not 0, or if it runs for too long.

A block's language says what is done with it:

    console  lines after `$ ` are commands; between them stands what they print, to standard output
             and standard error. It is compared as output.py says. A line `...` is any lines.
    sh       each line is a command. What it prints is not compared.
    cpp, cmake, python   is a part of the file that the fence names after the language.
    text     is not a command.

Commands that can't be run in a test are listed in NOT_RUN, and what is changed in others in REPLACED.
Ports that commands name with --port are replaced by free ones, in what the page shows too.
A page must have a command, and with --needs, one that is run and contains each WORD. Pictures that
commands write to samples/ must show what the repository's picture of that name shows, and the
commands of samples/README.md must write all but those in NOT_DRAWN.
"""

import argparse
import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import numpy as np

import output
import stand_ins

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(PROJECT, "tools"))
import png_numpy  # noqa: E402

SECONDS = 600  # that a command may take

# Beginnings of commands that are not run, and why.
NOT_RUN = {
    "./tools/quickstart": "installs packages and builds",
    "./tools/check": "installs packages, builds and runs all tests, this one too",
    "sudo": "installs packages",
    "mpirun": "needs MPI; tests/cluster starts the program on several ranks",
    "cmake --build": "builds; tests/package makes and checks the Debian package",
    "cmake --install": "needs all of the build folder; tests/package checks it",
    "cmake -S samples": "needs the installed library; tests/package builds the samples with it",
    "build/samples/": "tests/package runs it",
    "python3 -m venv": "downloads packages",
    "pip install .": "builds for minutes; python_package_test.py makes and checks the wheel",
    "python samples/": "needs the Python package; its tests run it",
    "python -m combiner.torch.train": "needs PyTorch; the package's tests train with it",
    "build/release/bench/": "measures for minutes, and is built only with COMBINER_BENCH",
    "tools/ablate": "trains for minutes",
    "codecs/bin/python tools/compare_codecs": "needs other codecs",
    "peers/bin/python": "needs PyTorch and JAX, and measures for an hour",
    "tools/plot_cost.py": "needs matplotlib",
    "tools/plot_training.py": "needs matplotlib",
    "combiner bench --config models/configs/reference.json": "measures for minutes",
    "combiner bench --model models/cifar10.safetensors": "measures for minutes",
}

# What is replaced in a command before it is run, so that it takes seconds and fits the stand-ins.
REPLACED = {
    "--minutes 90": "--steps 1 --validation-images 2",
    "--minutes 180": "--steps 2 --validation-images 2",
    "--minutes 183 --decay 0.6": "--steps 1 --validation-images 2",
    "--minutes 307 --decay 0.4": "--steps 2 --validation-images 2",
    "--minutes 322 --decay 0.064": "--steps 3 --validation-images 2",
    "--minutes 457 --decay 0.294": "--steps 4 --validation-images 2",
    "--minutes 576 --decay 0.206": "--steps 5 --validation-images 2",
    "--minutes 617 --decay 0": "--steps 6 --validation-images 2",
    "--minutes 739 --decay 0.162": "--steps 7 --validation-images 2",
    "--minutes 863 --decay 0.143": "--steps 8 --validation-images 2",
    "--minutes 42 --lr": "--steps 1 --validation-images 2 --lr",
    "--image 32x32": "--image 3x2",
    "bench --quick": "bench --quick --only ceilings",
}

# Maps of likelihoods, whose last digits depend on the processor.
MAPS = {"samples/surprise.png"}
# Pictures that the tests do not draw again: of the page of `combiner serve`, or with matplotlib.
NOT_DRAWN = {"samples/cost.png", "samples/serve.png", "samples/training.png"}


@dataclass
class Command:
    line: int
    text: str
    shown: list = field(default_factory=list)
    compared: bool = True


class Wrong(Exception):
    """Something on the page is not as it should be."""


def blocks(path):
    """Yields (line, language, name, lines) of each fenced block, `line` being that of its first."""
    with open(path) as file:
        lines = file.read().splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is not None:
            yield start + 2, *fence, lines[start + 1 : number]
            start = None
            continue
        language, _, name = line.strip()[3:].partition(" ")
        start, fence = number, (language, name)
    if start is not None:
        raise Wrong(f"line {start + 1}: the block has no end")


def commands_of_console(start, lines):
    commands = []
    for number, line in enumerate(lines, start):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:]))
        elif not commands:
            raise Wrong(f"line {number}: a console block begins with `$ ` and a command")
        elif commands[-1].text.endswith("\\"):
            commands[-1].text += "\n" + line
        else:
            commands[-1].shown.append(line)
    return commands


def commands_of_shell(start, lines):
    commands = []
    for number, line in enumerate(lines, start):
        if commands and commands[-1].text.endswith("\\"):
            commands[-1].text += "\n" + line
        elif line and not line.startswith("#"):
            commands.append(Command(number, line, compared=False))
    return commands


def check_quotation(start, name, lines):
    if not name:
        raise Wrong(f"line {start - 1}: the fence names no file")
    with open(os.path.join(PROJECT, name)) as file:
        if "\n".join(lines) + "\n" not in file.read():
            raise Wrong(f"line {start}: this is no part of {name}")


def commands_of(path):
    commands = []
    for start, language, name, lines in blocks(path):
        if language == "console":
            commands += commands_of_console(start, lines)
        elif language == "sh":
            commands += commands_of_shell(start, lines)
        elif language in ("cpp", "cmake", "python"):
            check_quotation(start, name, lines)
        elif language != "text":
            raise Wrong(f"line {start - 1}: a block's language is console, sh, cpp, cmake, python or"
                        " text")
    return commands


def use_free_ports(commands):
    """Replaces each port that a command names with --port by one that nothing listens at."""
    named = sorted({port for command in commands
                    for port in re.findall(r"--port (\d+)", command.text)})
    with contextlib.ExitStack() as held:  # until all are chosen, so that they differ
        free = {port: held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
                for port in named}

    def replaced(text):
        return re.sub(r"(--port |:)(\d+)\b", lambda m: m[1] + str(free.get(m[2], m[2])), text)

    for command in commands:
        command.text = replaced(command.text)
        command.shown = [replaced(line) for line in command.shown]


def reason_not_to_run(text):
    return next((why for beginning, why in NOT_RUN.items() if text.startswith(beginning)), None)


def make_clone(folder, program):
    """What a page's commands may need of a clone: links, and a copy of what they may write to."""
    for name in ("models", "src", "tools", "tests"):
        os.symlink(os.path.join(PROJECT, name), os.path.join(folder, name))
    shutil.copytree(os.path.join(PROJECT, "samples"), os.path.join(folder, "samples"))
    built = os.path.join(folder, "build", "release")
    os.makedirs(built)
    os.symlink(program, os.path.join(built, "combiner"))
    os.symlink(os.path.join(os.path.dirname(program), "tools"), os.path.join(built, "tools"))
    os.symlink(sys.executable, os.path.join(built, "python3"))  # the one that has NumPy
    return built


def run(command, folder, path):
    text = command.text
    for part, replacement in REPLACED.items():
        text = text.replace(part, replacement)
    try:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", text], cwd=folder, timeout=SECONDS, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Wrong(f"line {command.line}: $ {text}\nruns for more than {SECONDS} s") from None
    if done.returncode != 0:
        raise Wrong(f"line {command.line}: $ {text}\nexit code {done.returncode}\n{done.stdout}")
    printed = done.stdout.splitlines()
    if command.compared and not output.same(command.shown, printed, text):
        raise Wrong(f"line {command.line}: $ {text}\nthe page shows\n"
                    + "\n".join(f"  {line}" for line in command.shown)
                    + "\nand the command prints\n"
                    + "\n".join(f"  {line}" for line in printed))  # fmt: skip


def end_servers(folder):
    """Ends what a page has left running, if a command before it failed; NAME.pid has its number."""
    for path in glob.glob(os.path.join(folder, "*.pid")):
        with open(path) as file:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read()), signal.SIGTERM)


def pictures(folder):
    """When each was written, by name."""
    found = glob.glob(os.path.join(folder, "samples", "**", "*.png"), recursive=True)
    return {os.path.relpath(path, folder): os.stat(path).st_mtime_ns for path in found}


def check_pictures(folder, page, before):
    """What is drawn in f32 is the same on all processors; MAPS may differ by a shade."""
    drawn = {name for name, time in pictures(folder).items() if time != before.get(name)}
    if page == "samples/README.md" and (left := before.keys() - drawn - NOT_DRAWN):
        raise Wrong(f"no command draws {', '.join(sorted(left))}")
    for name in sorted(drawn):
        made, kept = os.path.join(folder, name), os.path.join(PROJECT, name)
        if not os.path.exists(kept):
            raise Wrong(f"{name} is not in the repository")
        with open(made, "rb") as a, open(kept, "rb") as b:
            if a.read() == b.read():
                continue
        made, kept = (png_numpy.read(path).astype(int) for path in (made, kept))
        shade, share = (4, 0.01) if name in MAPS else (0, 0)
        if made.shape != kept.shape or np.mean(abs(made - kept) > shade) > share:
            raise Wrong(f"{name}: the commands make another picture")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("page")
    parser.add_argument("--needs", metavar="WORD", action="append", default=[])
    arguments = parser.parse_args()
    try:
        commands = commands_of(os.path.join(PROJECT, arguments.page))
        use_free_ports(commands)
        ran = [command for command in commands if not reason_not_to_run(command.text)]
        if not commands:
            raise Wrong("there is no command")
        for word in arguments.needs:
            if not any(word in command.text for command in ran):
                raise Wrong(f"no command contains `{word}`")
        with tempfile.TemporaryDirectory() as folder:
            path = make_clone(folder, os.path.realpath(arguments.program))
            stand_ins.make(folder)
            before = pictures(folder)
            try:
                for command in ran:
                    run(command, folder, path)
                check_pictures(folder, arguments.page, before)
            finally:
                end_servers(folder)
    except Wrong as wrong:
        sys.exit(f"{arguments.page}: {wrong}")
    print(f"{arguments.page}: {len(ran)} of {len(commands)} commands run")


if __name__ == "__main__":
    main()

"""Draws at a terminal with --show, which must end with the picture that the file has.

Usage: show_test.py PROGRAM MODEL
"""

import os
import re
import subprocess
import sys
import tempfile

from at_terminal import at_terminal

PROGRAM, MODEL = sys.argv[1:]
WIDTH, HEIGHT = 6, 3  # of the model
GAP = 2  # around a picture in a sheet
DRAW = ["sample", "--model", MODEL, "--precision", "f32", "-n", "1", "--seed", "5"]


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def shown_at_terminal(output, **environment):
    return at_terminal([PROGRAM, *DRAW, "--show", "-o", output],
                       {"PATH": os.environ["PATH"], "TERM": "xterm", **environment})


def pixels_of(shown):
    """Rows of pixels of the last picture shown."""
    last = re.split(r"\x1b\[\d+A", shown)[-1]
    rows = []
    for line in last.splitlines():
        if "\u2580" not in line:
            continue
        upper, lower, colours = [], [], {}
        for layer, colour, block in re.findall(r"\x1b\[(38|48);2;([\d;]+)m|(\u2580)", line):
            if block:
                upper.append(colours["38"])
                lower.append(colours.get("48"))
            else:
                colours[layer] = bytes(map(int, colour.split(";")))
        rows += [upper, lower]
    return rows


with tempfile.TemporaryDirectory() as folder:
    sheet = pixels_of(shown_at_terminal(f"{folder}/x.png", COLORTERM="truecolor"))
    rows = [row[GAP:GAP + WIDTH] for row in sheet[GAP:GAP + HEIGHT]]
    os.mkdir(f"{folder}/shown")
    with open(f"{folder}/shown/00000.png", "wb") as file:
        file.write(b"P6 %d %d 255\n" % (WIDTH, HEIGHT))
        for row in rows:
            file.write(b"".join(row))
    run(*DRAW, "-o", f"{folder}/drawn/")
    packed = []
    for name in ("shown", "drawn"):
        run("compress", "--model", MODEL, f"{folder}/{name}", "-o", f"{folder}/{name}.cmb")
        with open(f"{folder}/{name}.cmb", "rb") as file:
            packed.append(file.read())
    if packed[0] != packed[1]:
        sys.exit("the terminal shows another picture than is drawn")

    for environment, reason in [({}, "COLORTERM=truecolor"),
                                ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, "NO_COLOR is set")]:
        shown = shown_at_terminal(f"{folder}/x.png", **environment)
        if "\u2580" in shown or reason not in shown:
            sys.exit(f"with {environment}, the terminal shows {shown!r}")

#!/usr/bin/env python3
"""Draws images as they looked while they were drawn: a line for each, growing row by row.

    combiner sample -n 3 --seed 1 -o drawn/
    tools/plot_growing.py drawn/*.png growing.png
"""

import argparse

import numpy as np

import png_numpy
from outputs import refuse_inputs

STATES = 8  # of each image, from nothing to all
EMPTY = 224  # what is not drawn yet: light grey, as in combiner's previews
SCALE, GAP = 3, 2


def after(rows, image):
    """The image when only its first rows are drawn."""
    state = np.full_like(image, EMPTY)
    state[:rows] = image[:rows]
    return state


def strip(image):
    """States of an image from left to right, [height, STATES * (width + gap), 3]."""
    rows = np.linspace(0, len(image), STATES).round().astype(int)
    magnified = [after(r, image).repeat(SCALE, axis=0).repeat(SCALE, axis=1) for r in rows]
    return np.hstack([np.pad(state, ((0, 0), (0, GAP), (0, 0)), constant_values=255)
                      for state in magnified])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="+", help="PNG files of one size")
    parser.add_argument("output", help="PNG file to write")
    arguments = parser.parse_args()
    refuse_inputs(parser, arguments.output, arguments.images)
    strips = [strip(png_numpy.read(path)) for path in arguments.images]
    sheet = np.vstack([np.pad(row, ((0, GAP), (0, 0), (0, 0)), constant_values=255)
                       for row in strips])  # fmt: skip
    png_numpy.write(arguments.output,
                    np.pad(sheet, ((GAP, 0), (GAP, 0), (0, 0)), constant_values=255))  # fmt: skip


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Draws how training runs went, from the logs that combiner train writes.

    tools/plot_training.py first.csv second.csv curve.png

Bits/dim against images and against hours: a dot is a measurement on validation images, a line the
loss, averaged over the images around. Needs matplotlib (Debian's python3-matplotlib).
"""

import argparse
import csv
import os
import sys

from outputs import refuse_inputs

LINE_POINTS = 200  # of a line; the losses between two are averaged


def read(path):
    """[(images, hours, loss, validation or None)]"""
    with open(path, newline="") as file:
        rows = [(int(row["images"]), float(row["seconds"]) / 3600, float(row["loss"]),
                 float(row["validation"]) if row["validation"] else None)
                for row in csv.DictReader(file)]  # fmt: skip
    if not rows:
        raise ValueError("has no step")
    return rows


def averaged(rows, column):
    """The points of a line of the loss over a column, without the first steps from 8 bits/dim."""
    rows = rows[len(rows) // 50 :]
    size = max(1, len(rows) // LINE_POINTS)
    groups = [rows[i : i + size] for i in range(0, len(rows), size)]
    return ([group[-1][column] for group in groups],
            [sum(row[2] for row in group) / len(group) for group in groups])  # fmt: skip


def draft_of(path):
    return f"{path}.draft.png"


def draw(runs, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
    for axis, column, title in zip(axes, (0, 1), ("images", "hours")):
        for number, (name, rows) in enumerate(runs):
            color = f"C{number % 10}"
            axis.plot(*averaged(rows, column), color=color, linewidth=0.8, alpha=0.4)
            measured = [(row[column], row[3]) for row in rows if row[3] is not None]
            axis.plot(*zip(*measured or [(None, None)]), color=color, marker="o", markersize=4,
                      label=f"{name}: {measured[-1][1]:.3f}" if measured else name)  # fmt: skip
        axis.set(xscale="log", xlabel=title)
        axis.grid(True, which="both", alpha=0.2)
    axes[0].set(ylabel="bits/dim")
    axes[0].legend(title="dots: validation, the last")
    figure.savefig(draft_of(path), dpi=110)
    os.replace(draft_of(path), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", nargs="+", help="CSV that combiner train wrote")
    parser.add_argument("picture", help="PNG to write")
    arguments = parser.parse_args()
    for output in (arguments.picture, draft_of(arguments.picture)):
        refuse_inputs(parser, output, arguments.log)
    names = [os.path.splitext(os.path.basename(path))[0] for path in arguments.log]
    if len(set(names)) < len(names):  # tell them apart
        names = [os.path.splitext(path)[0] for path in arguments.log]
    runs = []
    for path, name in zip(arguments.log, names):
        try:
            runs.append((name, read(path)))
        except OSError as error:
            sys.exit(f"plot_training: {path}: {error.strerror}")
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"plot_training: {path}: {error!r}; expected a log of combiner train")
    try:
        draw(runs, arguments.picture)
    except ImportError:
        sys.exit("plot_training: needs matplotlib (apt-get install python3-matplotlib)")
    except OSError as error:
        sys.exit(f"plot_training: {arguments.picture}: {error.strerror or error}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Draws the cost of attention against the number of positions, on logarithmic axes.

    build/release/bench/attention --benchmark_out=cost.json --benchmark_out_format=json
    tools/plot_cost.py cost.json samples/cost.png

Needs matplotlib (Debian's python3-matplotlib).
"""

import argparse
import json
import os
import sys

from outputs import refuse_inputs

PANELS = [
    ("forward", "real_time", "forward, milliseconds"),
    ("forward+backward", "real_time", "forward and backward, milliseconds"),
    ("forward", "peak_mb", "forward, peak MB beyond inputs and outputs"),
    ("forward+backward", "peak_mb", "forward and backward, peak MB"),
]


def measurements(path):
    """{(pass, variant): [(positions, row)]}; medians if there are repetitions."""
    with open(path) as file:
        rows = json.load(file)["benchmarks"]
    if any(row.get("aggregate_name") == "median" for row in rows):
        rows = [row for row in rows if row.get("aggregate_name") == "median"]
    found = {}
    for row in rows:
        direction, variant, positions = row["run_name"].split("/")[:3]
        found.setdefault((direction, variant), []).append((int(positions), row))
    return {key: sorted(points, key=lambda point: point[0]) for key, points in found.items()}


def draft_of(path):
    return f"{path}.draft.png"


def draw(found, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 9), layout="constrained")
    for axis, (direction, field, title) in zip(axes.flat, PANELS):
        for (its_direction, variant), points in found.items():
            shown = [(n, row[field]) for n, row in points if field in row]
            if its_direction != direction or not shown:
                continue
            is_full = variant == "full"
            axis.plot(*zip(*shown), marker="o", markersize=3, label=variant,
                      color="black" if is_full else None, linewidth=2 if is_full else 1.2)
        axis.set(xscale="log", yscale="log", xlabel="positions", title=title)
        axis.grid(True, which="both", alpha=0.2)
    axes.flat[0].legend(fontsize=8)
    figure.savefig(draft_of(path), dpi=110)
    os.replace(draft_of(path), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("measurements", help="what bench/attention wrote, JSON")
    parser.add_argument("picture", help="PNG to write")
    arguments = parser.parse_args()
    for output in (arguments.picture, draft_of(arguments.picture)):
        refuse_inputs(parser, output, [arguments.measurements])
    try:
        found = measurements(arguments.measurements)
    except OSError as error:
        sys.exit(f"plot_cost: {arguments.measurements}: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"plot_cost: {arguments.measurements}: {error!r}; expected bench/attention's JSON")
    try:
        draw(found, arguments.picture)
    except ImportError:
        sys.exit("plot_cost: needs matplotlib (apt-get install python3-matplotlib)")
    except OSError as error:
        sys.exit(f"plot_cost: {arguments.picture}: {error.strerror or error}")


if __name__ == "__main__":
    main()

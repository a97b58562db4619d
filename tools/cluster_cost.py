#!/usr/bin/env python3
"""What training on a cluster would cost, by a model on paper: docs/cluster.md explains it.

Usage: cluster_cost.py [--gflops X] [--batch N]
"""

import argparse
import math

POSITIONS = 64 * 64  # of an image
CORES = 64  # of a node
LATENCY = 100e-6  # seconds from one rank to the next, which sleeps between looks for it
MOST_PIECES, SMALLEST_PIECE = 16, 2**20  # bytes, of the gradient's sum
BACKWARD = 2 / 3  # share of a pass, behind which sums can hide
NODES = (2, 4, 8, 16, 32, 64)


def step(parameters, nodes, gigabits, options):
    """Seconds of a step's computation, and of what is added to it."""
    images = options.batch / (nodes * CORES)  # one after the other, on each core
    one_pass = 6 * parameters * POSITIONS / (options.gflops * 1e9)
    pieces = min(MOST_PIECES, math.ceil(4 * parameters / SMALLEST_PIECE))
    round_trip = (nodes - 1) / nodes * 4 * parameters / (gigabits * 1e9 / 8)
    hops = (nodes - 1) * LATENCY
    sums = 2 * (round_trip + pieces * hops)
    exposed = max(sums - BACKWARD * one_pass, sums / pieces)  # the last piece has no pass to hide behind
    return images * one_pass, exposed + round_trip + hops


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gflops", type=float, default=240, help="of a core in training")
    parser.add_argument("--batch", type=int, default=4096, help="images a step, on all nodes")
    options = parser.parse_args()
    print("parameters  Gbit/s  nodes", *(f"{nodes:>14}" for nodes in NODES))
    for millions in (2, 8, 60):
        for gigabits in (10, 100):
            shown = []
            for nodes in NODES:
                compute, added = step(millions * 1e6, nodes, gigabits, options)
                shown.append(f"{compute + added:.1f} s {100 * compute / (compute + added):5.1f}%")
            print(f"{millions:>8} M  {gigabits:>6}       ", *(f"{text:>14}" for text in shown))


if __name__ == "__main__":
    main()

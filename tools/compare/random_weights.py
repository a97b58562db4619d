#!/usr/bin/env python3
"""Random weights for a config, to measure speed without a trained model.

    tools/compare/random_weights.py CONFIG.json -o MODEL.safetensors
"""

import argparse
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))

import reference  # noqa: E402
import safetensors_numpy  # noqa: E402
from outputs import refuse_inputs  # noqa: E402


def write_random_weights(config_path, output, seed=0):
    """Writes BF16, as `combiner train` does."""
    with open(config_path) as file:
        config = json.load(file)
    weights = reference.random_weights(config, np.random.default_rng(seed))
    safetensors_numpy.write(output, weights, {"config": json.dumps(config)}, "BF16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", metavar="CONFIG.json")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    refuse_inputs(parser, options.output, [options.config])
    try:
        write_random_weights(options.config, options.output, options.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"random_weights.py: {error}")
    except KeyError as error:
        sys.exit(f"random_weights.py: {options.config}: field {error} is missing")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Test data for the attention layer alone, made by the NumPy reference.

    tools/attention_data.py --make DIR
        writes one file per variant: random queries, keys and values, and the attention's output
    tools/attention_data.py --verify DIR
        computes the outputs again and compares; checks which positions each position sees
"""

import argparse
import os
import sys

import numpy as np

import safetensors_numpy
from reference import relative_error
from reference_attention import BIDIRECTIONAL, CAUSAL, attention

MAKE_COMMAND = "tools/attention_data.py --make tests/data/attention"
ROWS, COLUMNS, DIM, HEADS = 4, 6, 8, 2
EPSILON = 1e-3  # large enough to show where it is used, unlike 1e-6
CASES = {f"{direction}_{name}": (name, parts_of)
         for direction, variants in (("causal", CAUSAL), ("bidirectional", BIDIRECTIONAL))
         for name, parts_of in variants.items()}


def random_inputs(variant, rng):
    """The layer's inputs by name, all [L, D], and for axial_rowmajor its weights."""
    tensors = {name: 1.5 * rng.standard_normal((ROWS * COLUMNS, DIM))
               for name in ("query", "key", "value")}
    if variant == "axial_rowmajor":
        tensors["input"] = rng.standard_normal((ROWS * COLUMNS, DIM))
        for name in ("summary_output", "summary_key"):
            tensors[f"{name}.weight"] = 1.5 / np.sqrt(DIM) * rng.standard_normal((DIM, DIM))
        tensors["summary_norm.weight"] = 1.0 + 0.2 * rng.standard_normal(DIM)
        tensors["summary_norm.bias"] = 0.1 * rng.standard_normal(DIM)
    return tensors


def output(tensors, parts_of):
    """The attention's output [L, D] in float64."""
    x = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    return attention(x["query"], x["key"], x["value"], parts_of, COLUMNS, HEADS, x.get("input"), x,
                     EPSILON)


def metadata(variant):
    return {"attention": variant, "rows": str(ROWS), "columns": str(COLUMNS),
            "num_heads": str(HEADS), "norm_epsilon": str(EPSILON), "command": MAKE_COMMAND}


def make(folder):
    os.makedirs(folder, exist_ok=True)
    for seed, (name, (variant, parts_of)) in enumerate(CASES.items()):
        tensors = random_inputs(variant, np.random.default_rng(seed))
        tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        tensors["output"] = output(tensors, parts_of)
        safetensors_numpy.write(os.path.join(folder, f"{name}.safetensors"), tensors,
                                metadata(variant))


def seen(tensors, parts_of):
    """[L, L]: whether the inputs at position j affect the output at position i."""
    before = output(tensors, parts_of)
    sees = np.empty((len(before), len(before)), bool)
    for j in range(len(before)):
        changed = {name: tensor.copy() for name, tensor in tensors.items()}
        for name in {"query", "key", "value", "input"} & changed.keys():
            changed[name][j] += 0.5
        sees[:, j] = np.abs(output(changed, parts_of) - before).max(axis=1) > 1e-12
    return sees


def sight_fault(name, sees):
    """Describes what is wrong with the set of positions that each position sees, else None."""
    i = np.arange(ROWS * COLUMNS)
    is_causal = name.startswith("causal_")
    if is_causal and (sees & (i[None, :] > i[:, None])).any():
        return "a position sees a later one"
    # The sparse baselines see as many positions as they have keys; all others see everything.
    lines = COLUMNS + ROWS - 1
    keys = {"bidirectional_axial": lines, "bidirectional_fixed_sparse": lines,
            "causal_axial": i // COLUMNS + i % COLUMNS + 1,
            "causal_fixed_sparse": i // COLUMNS + i % COLUMNS + 1,
            "causal_logsparse_sparse": np.array([1 + bin(p).count("1") for p in i])}
    everything = i + 1 if is_causal else len(i)
    if (sees.sum(axis=1) != keys.get(name, everything)).any():
        return "a position sees too many or too few"
    return None


def verify(folder):
    """Prints one line per file. Returns whether all agree within float32's rounding and each
    position sees what it should."""
    all_ok = True
    for name, (variant, parts_of) in CASES.items():
        tensors, stored = safetensors_numpy.read(os.path.join(folder, f"{name}.safetensors"))
        expected = tensors.pop("output")
        error = relative_error(output(tensors, parts_of), expected)
        faults = []
        if stored != metadata(variant):
            faults.append("the stored metadata is not this program's")
        if not error < 1e-6:
            faults.append("the stored output is not this program's")
        fault = sight_fault(name, seen(tensors, parts_of))
        if fault:
            faults.append(fault)
        all_ok = all_ok and not faults
        print(f"{name}: relative error {error:.2e},"
              f" {'FAIL: ' + '; '.join(faults) if faults else 'sees what it should, ok'}")
    return all_ok


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--make", metavar="DIR")
    action.add_argument("--verify", metavar="DIR")
    options = parser.parse_args()
    try:
        if options.make:
            make(options.make)
        else:
            sys.exit(0 if verify(options.verify) else 1)
    except (OSError, ValueError) as error:
        sys.exit(f"attention_data.py: {error}")


if __name__ == "__main__":
    main()

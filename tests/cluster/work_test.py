"""Measures, draws, packs and quantizes on 1, 2 and 3 ranks: the same results, whatever the number.

Usage: work_test.py PROGRAM
"""

import hashlib
import json
import os
import sys
import tempfile

import ranks

PROGRAM = sys.argv[1]


def hash_of(path):
    """Of a file, or of all files in a folder."""
    names = sorted(os.listdir(path)) if os.path.isdir(path) else [""]
    digest = hashlib.sha256()
    for name in names:
        with open(os.path.join(path, name) if name else path, "rb") as file:
            digest.update(name.encode() + b"\0" + file.read())
    return digest.hexdigest()


ranks.skip_without_mpi(PROGRAM)
with tempfile.TemporaryDirectory() as folder:
    ranks.make_data(folder, 11)
    ranks.run_well(0, ranks.training(PROGRAM, folder, f"{folder}/model", "--steps", 5))
    model, data = f"{folder}/model.safetensors", f"{folder}/pictures"
    how = ["--model", model, "--threads", 1]
    f32 = ["--precision", "f32"]

    def results(count):
        at = f"{folder}/{count}"
        os.mkdir(at)
        out = {}
        figures = json.loads(ranks.run_well(count, [
            PROGRAM, "eval", "--data", data, *how, *f32, "--json", "--csv", f"{at}/a.csv",
            "--maps", f"{at}/maps"]))  # fmt: skip
        del figures["images_per_second"]
        out["eval"] = figures
        ranks.run_well(count, [PROGRAM, "sample", "-n", 7, "--seed", 3, *how, *f32,
                               "-o", f"{at}/sheet.png"])  # fmt: skip
        ranks.run_well(count, [PROGRAM, "sample", "-n", 7, "--seed", 3, *how, *f32,
                               "-o", f"{at}/drawn/"])  # fmt: skip
        ranks.run_well(count, [PROGRAM, "compress", data, *how, "-o", f"{at}/packed.cmb"])
        figures = json.loads(ranks.run_well(count, [
            PROGRAM, "quantize", *how, "-o", f"{at}/int8.safetensors", "--data", data, "--json"]))  # fmt: skip
        del figures["output"]
        out["quantize"] = figures
        return out | {name: hash_of(f"{at}/{name}") for name in sorted(os.listdir(at))}

    # A seed that is not given is the same on all ranks.
    ranks.run_well(2, [PROGRAM, "sample", "-n", 2, *how, "-o", f"{folder}/random/"])
    for name in ("00000.png", "00001.png"):
        ranks.run_well(0, [PROGRAM, "sample", "--like", f"{folder}/random/{name}", *how,
                           "-o", f"{folder}/again.png"])  # which fails if it differs

    alone = results(0)
    print("sheet.png has the SHA-256", alone["sheet.png"])
    for count in (1, 2, 3):
        found = results(count)
        for name, value in alone.items():
            assert found[name] == value, f"{count} ranks: {name} is {found[name]}, alone {value}"
        print(f"{count} ranks: {', '.join(alone)} are the same")

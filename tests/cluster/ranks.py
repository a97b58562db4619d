"""Starts combiner on several ranks of this machine."""

import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tiny_config import tiny_config  # noqa: E402

SIDE = 4
CONFIG = tiny_config(SIDE, SIDE, embed_dim=12, mlp_dim=20, stem={"rows": 3, "columns": 5})
SECONDS = 600  # that anything may take


def skip_without_mpi(program):
    plugin = os.path.join(os.path.dirname(program), "combiner_mpi.so")
    for needed in (shutil.which("mpirun"), os.path.exists(plugin)):
        if not needed:
            print(f"skipped: needs mpirun and {plugin}")
            sys.exit(0)


def mpirun(count, *options):
    """The words that start something on `count` ranks."""
    words = ["mpirun", "--oversubscribe", "-n", str(count), *options]
    # Containers may refuse what shared memory is read with; it is no part of what is tested.
    words += ["--mca", "btl_vader_single_copy_mechanism", "none"]
    return words + (["--allow-run-as-root"] if os.geteuid() == 0 else [])


def run(count, command, **how):
    """Runs a command on `count` ranks; for 0, without MPI."""
    words = (mpirun(count) if count else []) + [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, **how)


def run_well(count, command):
    result = run(count, command)
    assert result.returncode == 0, f"{command} on {count} ranks: {result.stderr}"
    return result.stdout


def make_data(folder, pictures):
    """A config and a folder of pictures."""
    os.makedirs(f"{folder}/pictures")
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump(CONFIG, file)
    pixels = random.Random(1)
    for i in range(pictures):
        with open(f"{folder}/pictures/{i:02}.ppm", "wb") as file:
            file.write(b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels.randbytes(3 * SIDE * SIDE))


def training(program, data, output, *more):
    return [program, "train", "--config", f"{data}/config.json", "--data", f"{data}/pictures",
            "-o", f"{output}.safetensors", "--validation-images", 3, "--batch", 6, "--decay", 0,
            "--precision", "f32", "--threads", 1, *more]  # fmt: skip


def log_rows(output):
    """The log without its times: step, images, rate, loss and so on, as text."""
    with open(f"{output}.csv", encoding="utf-8") as file:
        header, *rows = [line.split(",") for line in file.read().splitlines()]
    timed = [i for i, name in enumerate(header) if "second" in name]
    return [[field for i, field in enumerate(row) if i not in timed] for row in rows]


def losses(output):
    with open(f"{output}.csv", encoding="utf-8") as file:
        header, *rows = [line.split(",") for line in file.read().splitlines()]
    return [float(row[header.index("loss")]) for row in rows]


def checkpoint(output):
    """A checkpoint's step, and its bytes but for the metadata, which has times."""
    with open(f"{output}.checkpoint", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return int(header["__metadata__"]["step"]), file.read()

"""Trains at a terminal, where the progress line must show validations, also the last one.

Usage: validation_progress_test.py PROGRAM
"""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from at_terminal import at_terminal  # noqa: E402
from tiny_config import tiny_config  # noqa: E402

PROGRAM = sys.argv[1]
SIDE = 16
CONFIG = tiny_config(SIDE, SIDE, embed_dim=16, num_layers=1, mlp_dim=32, stem=None)

with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump(CONFIG, file)
    os.mkdir(f"{folder}/pictures")
    for i in range(6):
        with open(f"{folder}/pictures/{i}.ppm", "wb") as picture:
            picture.write(b"P6 %d %d 255\n" % (SIDE, SIDE))
            picture.write(bytes([40 * i]) * (3 * SIDE * SIDE))
    command = f"""{PROGRAM} train --config {folder}/config.json --data {folder}/pictures --steps 2
        -o {folder}/weights.safetensors --validation-images 4 --validation-minutes 1e6"""
    shown = at_terminal(command.split(), os.environ | {"TERM": "xterm"})
    if "0 validation images, 0.0 %" not in shown:
        sys.exit(f"no validation in {shown!r}")

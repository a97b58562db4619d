"""Trains at a terminal, where the progress line must show validations, also the last one.

Usage: validation_progress_test.py PROGRAM
"""

import json
import os
import pty
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

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
    main, terminal = pty.openpty()
    command = f"""{PROGRAM} train --config {folder}/config.json --data {folder}/pictures --steps 2
        -o {folder}/weights.safetensors --validation-images 4 --validation-minutes 1e6"""
    environment = os.environ | {"TERM": "xterm"}
    with subprocess.Popen(
        command.split(), stdout=subprocess.DEVNULL, stderr=terminal, env=environment
    ) as program:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(main, 4096):
                shown += part
        except OSError:
            pass  # the program has closed the terminal
    if program.returncode != 0 or b"0 validation images, 0.0 %" not in shown:
        sys.exit(f"exit code {program.returncode}; no validation in {shown!r}")

import subprocess
import sys

import numpy as np

import combiner
from conftest import REPOSITORY


def test_draw(shipped, tmp_path):
    shown = subprocess.run([sys.executable, REPOSITORY / "samples/draw.py"], cwd=tmp_path,
                           check=True, capture_output=True, text=True).stdout
    images = shipped.sample(4, seed=1, temperature=0.85)
    assert shown == f"{shipped.bits_per_dim(images).round(3)}\n"
    assert f"$ python samples/draw.py\n{shown}" in (REPOSITORY / "README.md").read_text()
    sheet = combiner.sheet(images).pixels
    read = combiner.read_images(tmp_path / "sheet.png", size=sheet.shape[:2])
    assert np.array_equal(read[0], sheet)

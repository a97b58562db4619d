"""What the tests share. They need the package, installed; the program that COMBINER_PROGRAM names,
by default build/release/combiner; and this repository."""

import os
import pathlib
import subprocess
import sys

import pytest

import combiner

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests/data/golden"
PROGRAM = os.environ.get("COMBINER_PROGRAM", str(REPOSITORY / "build/release/combiner"))
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("tools", "tools/compare", "tests")]

# Small models, every attention variant among them.
MODELS = sorted(path.name[: -len(".golden.safetensors")]
                for path in GOLDEN.glob("*.golden.safetensors"))


def golden(name):
    """(path of the model, its images and what the reference makes of them)"""
    import safetensors_numpy

    return (GOLDEN / f"{name}.safetensors",
            safetensors_numpy.read(GOLDEN / f"{name}.golden.safetensors")[0])


@pytest.fixture
def run_program():
    """Runs the program and returns its output; skips the test if there is no program."""
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip(f"there is no program {PROGRAM}")

    def run(*arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True,
                              text=True).stdout

    return run


@pytest.fixture(scope="session")
def small():
    """A small model in f32, of images of 3x6 pixels."""
    return combiner.load(GOLDEN / "pixel_mixed.safetensors", "f32")


@pytest.fixture(scope="session")
def shipped():
    return combiner.load("cifar10", "f32")

#!/usr/bin/env python3
"""Makes a wheel of the Python package, installs it in a fresh environment and runs its tests there.

Usage: python_package_test.py PROGRAM WORK_FOLDER

The package's C++ code is built in WORK_FOLDER, which is kept from one run to the next. What it
needs comes from PyPI; where pip can't get that, and only there, the test is skipped. The tests of
combiner.torch run if the environment variable COMBINER_TEST_TORCH is set; PyTorch is large.
"""

import glob
import os
import shutil
import subprocess
import sys
import tomllib
import venv

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))


def needed():
    """What the package and its tests need, of PyPI."""
    with open(os.path.join(PROJECT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    extras = ["test"] + (["torch"] if os.environ.get("COMBINER_TEST_TORCH") else [])
    return project["dependencies"] + [package for extra in extras
                                      for package in project["optional-dependencies"][extra]]


def make_environment(folder, *packages):
    """Returns the environment's Python, or None if pip can't get the packages of PyPI."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = os.path.join(folder, "bin/python")
    pip = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages],
                         capture_output=True, text=True)
    if pip.returncode != 0:
        print(f"skipped: pip can't install {', '.join(packages)}: {pip.stderr.strip()[-500:]}")
        return None
    return python


def main():
    program, work = map(os.path.realpath, sys.argv[1:])
    os.makedirs(work, exist_ok=True)
    builder = make_environment(f"{work}/builder", "scikit-build-core>=0.10", "pybind11>=2.12")
    if builder is None:
        return
    wheels = f"{work}/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    # Without isolation, the paths of what it is built with stay the same, and so does the build.
    subprocess.run([builder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
                    "--config-settings", f"build-dir={work}/build", "-w", wheels, PROJECT], check=True)
    (wheel,) = glob.glob(f"{wheels}/combiner-*.whl")
    python = make_environment(f"{work}/user", *needed())
    if python is None:
        return
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
                   check=True)
    # From another folder, so that nothing but what is installed can be imported.
    tests = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs",
                            f"{PROJECT}/python/tests"], cwd=work,
                           env={**os.environ, "COMBINER_PROGRAM": program})
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()

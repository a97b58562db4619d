#!/usr/bin/env python3
"""Makes a wheel of the Python package, installs it in a fresh environment and runs its tests there.

Usage: python_package_test.py PROGRAM WORK_FOLDER [--torch]

The package's C++ code is built in WORK_FOLDER, which is kept from one run to the next. What it
needs comes from PyPI or what pip is told to use; where pip can download nothing, and only there, the
test is skipped. With --torch, the tests are those of combiner.torch. PyTorch is large, so they are
skipped unless the environment variable COMBINER_TEST_TORCH is set.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tomllib
import venv

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))


def make_environment(folder, packages):
    """Returns the environment's Python."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = os.path.join(folder, "bin/python")

    def pip(*words):
        return subprocess.run([python, "-m", "pip", "--quiet", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    installed = pip("install", *packages)
    if installed.returncode != 0:
        known = pip("download", "--no-deps", "--dest", folder, "pip")  # is there in any case
        if known.returncode != 0:
            print(f"skipped: pip can't download anything: {known.stdout.strip()[-500:]}")
            sys.exit()
        sys.exit(f"pip can't install {', '.join(packages)}:\n{installed.stdout}")
    return python


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=os.path.realpath)
    parser.add_argument("work", type=os.path.realpath)
    parser.add_argument("--torch", action="store_true")
    options = parser.parse_args()
    if options.torch and not os.environ.get("COMBINER_TEST_TORCH"):
        print("skipped: pip would download PyTorch, which is large; "
              "COMBINER_TEST_TORCH=1 runs these tests")
        return
    with open(f"{PROJECT}/pyproject.toml", "rb") as file:
        asked = tomllib.load(file)
    extras = asked["project"]["optional-dependencies"]
    needed = asked["project"]["dependencies"] + extras["test"]
    tests = f"{PROJECT}/python/tests"
    if options.torch:
        needed += extras["torch"]
        tests += "/test_torch.py"

    work = options.work
    os.makedirs(work, exist_ok=True)
    builder = make_environment(f"{work}/builder", asked["build-system"]["requires"])
    wheels = f"{work}/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    # Without isolation, the paths of what it is built with stay the same, and so does the build.
    subprocess.run([builder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
                    "--config-settings", f"build-dir={work}/build", "-w", wheels, PROJECT], check=True)
    (wheel,) = glob.glob(f"{wheels}/combiner-*.whl")
    python = make_environment(f"{work}/user", needed)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
                   check=True)
    # From another folder, so that nothing but what is installed can be imported.
    run = subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", tests],
                         cwd=work, env={**os.environ, "COMBINER_PROGRAM": options.program})
    sys.exit(run.returncode)


if __name__ == "__main__":
    main()

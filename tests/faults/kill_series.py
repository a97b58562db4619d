#!/usr/bin/env python3
"""Ends trainings at random moments, by kill -9 and by a full disk, and goes on with them.

Usage: kill_series.py COMBINER [--kills N] [--full-disks N] [--seed N]

After each end, the checkpoint must be there, whole, and of a step not before the last one known to
be saved, the weights must load, and no other file may be left. At the end, the weights and the log
must be those of a training that nothing has ended.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tiny_config import tiny_config  # noqa: E402

SIDE = 4
CONFIG = tiny_config(SIDE, SIDE, embed_dim=12, mlp_dim=20, stem={"rows": 3, "columns": 5})
PICTURES = 12
SECONDS = 300  # in which a run must save a step
# A name that OutputFile gives a whole file for a moment. The next run replaces it.
MOMENTARY = re.compile(r"\..*\.combiner")


class Training:
    """A training whose files are in a folder of their own."""

    def __init__(self, combiner, data, folder):
        self.combiner, self.data, self.folder = combiner, data, folder
        self.names = {"a.safetensors", "a.checkpoint", "a.csv"}
        self.left = 0  # how often

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, steps, *more):
        words = [self.combiner, "train", "--data", os.path.join(self.data, "pictures"),
                 "-o", self.path("a.safetensors"), "--validation-images", "2", "--batch", "2",
                 "--decay", "0", "--precision", "f32", "--threads", "1", "--steps", str(steps),
                 *more]
        if os.path.exists(self.path("a.checkpoint")):
            return words + ["--resume", self.path("a.checkpoint")]
        return words + ["--config", os.path.join(self.data, "config.json")]

    def start(self):
        """A run without end that saves after each step."""
        return subprocess.Popen(self.command(10**9, "--checkpoint-minutes", "0"),
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self, steps):
        subprocess.run(self.command(steps), check=True, capture_output=True)

    def saved_step(self):
        """Of the checkpoint that there is; -1 if there is none."""
        try:
            with open(self.path("a.checkpoint"), "rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            return int(header["__metadata__"]["step"])
        except FileNotFoundError:
            return -1

    def wait_for_a_step(self, run):
        """Until the checkpoint is of a step above 0."""
        deadline = time.monotonic() + SECONDS
        while self.saved_step() < 1:
            assert run.poll() is None, run.stderr.read()
            assert time.monotonic() < deadline, "no step is saved"
            time.sleep(0.001)

    def seconds_to_a_step(self):
        """What a run of its own, beside this one, takes to save a step."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            other = Training(self.combiner, self.data, folder)
            start = time.monotonic()
            with other.start() as run:
                try:
                    other.wait_for_a_step(run)
                finally:
                    run.kill()
            return time.monotonic() - start

    def check(self, saved):
        """What the end of a run has left. `saved` is a step that was saved before."""
        step = self.saved_step()
        assert step >= saved, f"the checkpoint is of step {step}, after one of step {saved}"
        others = set(os.listdir(self.folder)) - self.names
        momentary = {name for name in others if MOMENTARY.fullmatch(name)}
        assert others == momentary, f"left: {sorted(others - momentary)}"
        self.left += bool(momentary)
        if step > 0:  # the checkpoint of step 0 is written before any weights
            loaded = subprocess.run([self.combiner, "info", "--model", self.path("a.safetensors")],
                                    capture_output=True, text=True)
            assert loaded.returncode == 0, loaded.stderr
        return step

    def results(self):
        """The weights, and the log without its times, which differ between runs."""
        with open(self.path("a.safetensors"), "rb") as file:
            weights = file.read()
        with open(self.path("a.csv")) as file:
            rows = [line.split(",") for line in file.read().splitlines()]
        return weights, [row[:2] + row[3:4] + row[5:7] for row in rows]

    def check_nothing_lost(self):
        """Ends the training and compares it with one that was not interrupted."""
        steps = self.saved_step() + 1
        self.finish(steps)
        assert set(os.listdir(self.folder)) == self.names, os.listdir(self.folder)
        with tempfile.TemporaryDirectory() as folder:
            straight = Training(self.combiner, self.data, folder)
            straight.finish(steps)
            assert self.results() == straight.results(), "the interrupted training is another"
        return steps


def make_data(folder):
    os.mkdir(os.path.join(folder, "pictures"))
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(CONFIG, file)
    pixels = random.Random(1)
    for i in range(PICTURES):
        with open(os.path.join(folder, "pictures", f"{i:02}.ppm"), "wb") as file:
            file.write(b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels.randbytes(3 * SIDE * SIDE))


def kill_after(training, wait):
    with training.start() as run:
        try:
            wait(run)
            assert run.poll() is None, run.stderr.read()
            saved = training.saved_step()
        finally:
            run.send_signal(signal.SIGKILL)
    return training.check(saved)


def fill(path):
    """Makes a file of all the room that is left."""
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def fill_after(training, wait):
    filler = training.path("filler")
    with training.start() as run:
        try:
            wait(run)
            assert run.poll() is None, run.stderr.read()
            saved = training.saved_step()
            # What a failed save gives back must not help the next one.
            while run.poll() is None:
                fill(filler)
                time.sleep(0.001)
        finally:
            run.kill()
        message = run.stderr.read()
    assert run.returncode == 1, f"exit code {run.returncode}: {message}"
    assert re.search(rf"^combiner: {re.escape(training.folder)}/a\.\w+: .*"
                     "No space left on device", message, re.MULTILINE), message
    os.remove(filler)
    return training.check(saved)


@contextlib.contextmanager
def small_disk():
    """The folder of a small tmpfs; None if none may be mounted."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "combiner-test", folder]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            yield None
            return
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def series(training, end_after, number, moments):
    start = time.monotonic()
    longest_run = 10 * training.seconds_to_a_step()
    for _ in range(number - 1):
        end_after(training, lambda _: time.sleep(moments.uniform(0, longest_run)))
    # However slow the machine has become, there is a step to lose.
    assert end_after(training, training.wait_for_a_step) > 0
    steps = training.check_nothing_lost()
    print(f"{end_after.__name__}: {number} times in {time.monotonic() - start:.0f} s, "
          f"{steps} steps, {training.left} times a whole file under its momentary name, "
          f"which the next run replaced; nothing lost, nothing left")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("combiner")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--full-disks", type=int, default=0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    print(f"seed {seed}", flush=True)
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
        make_data(data)
        if options.kills:
            series(Training(options.combiner, data, folder), kill_after, options.kills, moments)
        if options.full_disks:
            with small_disk() as disk:
                if disk is None:
                    sys.exit("skipped: no tmpfs can be mounted")
                series(Training(options.combiner, data, disk), fill_after, options.full_disks,
                       moments)


if __name__ == "__main__":
    main()

"""Measures combiner by running the program."""

import csv
import json
import os
import re
import subprocess

import numpy as np

from figures import (BATCHES, LIKELIHOOD, SAMPLE_FORWARD, SAMPLE_MANY, SAMPLE_ONE, TRAIN,
                     TRAIN_FOUR)

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                       "..", "..", "build", "release", "combiner")
# The peers are measured warm. These numbers are large enough that the memory the program takes at
# first does not count.
IMAGES_A_THREAD = 100  # for a measurement of the likelihood
BATCHES_SAMPLED = 4  # one after the other, when sampling many images
TRAINING_STEPS = 6  # steps that are measured; one more runs before them


class CombinerProgram:
    """The model in a file. `folder` holds what the program reads and writes; `precisions` are those
    that it may choose from."""

    def __init__(self, path, config, threads, folder, precisions):
        self.path, self.threads, self.folder = path, threads, folder
        self.precisions = precisions
        self.quantized = precisions == ["int8"]
        self.pictures = os.path.join(folder, "pictures")
        os.makedirs(self.pictures)
        shape = (config["image"]["height"], config["image"]["width"], 3)
        images = np.random.default_rng(0).integers(
            0, 256, (IMAGES_A_THREAD * threads, *shape), np.uint8)
        for k, image in enumerate(images):
            write_ppm(os.path.join(self.pictures, f"{k}.ppm"), image)
        self.config_path = os.path.join(folder, "config.json")
        with open(self.config_path, "w") as file:
            json.dump(config, file)

    def describe(self):
        return "combiner" + (", 8-bit weights" if self.quantized else "")

    def choices(self, figure):
        """As in Peer; empty for figures that the program doesn't have."""
        if figure == SAMPLE_FORWARD or (self.quantized and figure in (TRAIN_FOUR, TRAIN)):
            return {}
        # The likelihood has no batch: each thread processes one image at a time.
        batches = [self.threads] if figure == LIKELIHOOD else BATCHES[figure]
        return {"batch": batches, "precision": self.precisions, "mode": [""]}

    def rate(self, figure, way, brief=False):
        """Images/s as the program reports them."""
        if figure in (SAMPLE_ONE, SAMPLE_MANY):
            return self._sampling_rate(way, 1 if brief or figure == SAMPLE_ONE else BATCHES_SAMPLED)
        if figure == LIKELIHOOD:
            result = self._evaluate(self.pictures, way.precision,
                                    "--limit", 10 * self.threads if brief else
                                    IMAGES_A_THREAD * self.threads)
            return result["images_per_second"]
        assert figure in (TRAIN_FOUR, TRAIN)
        return self._training_rate(way, 2 if brief else TRAINING_STEPS)

    def channel_nats(self, image, precision):
        """[3]: an image's nats, summed per channel."""
        picture = os.path.join(self.folder, "image.ppm")
        table = os.path.join(self.folder, "image.csv")
        write_ppm(picture, image)
        self._evaluate(picture, precision, "--csv", table)
        with open(table) as file:
            (row,) = csv.DictReader(file)
        return np.array([float(row[f"nats_{channel}"]) for channel in "rgb"])

    def _run(self, command, precision, *arguments):
        arguments = [PROGRAM, command, "--precision", precision, "--threads", self.threads,
                     *arguments]
        return subprocess.run([str(a) for a in arguments], check=True, capture_output=True,
                              text=True).stdout

    def _evaluate(self, data, precision, *arguments):
        return json.loads(self._run("eval", precision, "--model", self.path, "--data", data,
                                    "--json", *arguments))

    def _sampling_rate(self, way, batches):
        of_a_thread = -(-way.batch // self.threads)
        said = self._run("sample", way.precision, "--model", self.path, "-n", batches * way.batch,
                         "--batch", of_a_thread, "--seed", 1, "-o",
                         os.path.join(self.folder, "sheet.png"))
        return float(re.search(r"([\d.e+-]+) images/s", said).group(1))

    def _training_rate(self, way, steps):
        """Trains with AdamW, as the peers do; the program's default optimiser costs more."""
        stem = os.path.join(self.folder, "training")
        self._run("train", way.precision, "--config", self.config_path, "--data", self.pictures,
                  "-o", f"{stem}.safetensors", "--overwrite", "--steps", 1 + steps,
                  "--batch", way.batch, "--optimizer", "adamw", "--validation-images", 0)
        with open(f"{stem}.csv") as file:
            rows = list(csv.DictReader(file))
        images, seconds = ([float(row[field]) for row in rows] for field in ("images", "seconds"))
        return (images[-1] - images[0]) / (seconds[-1] - seconds[0])


def write_ppm(path, image):
    with open(path, "wb") as file:
        file.write(b"P6 %d %d 255\n" % (image.shape[1], image.shape[0]) + image.tobytes())

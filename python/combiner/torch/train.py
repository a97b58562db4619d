"""Trains a model with PyTorch, on a GPU or a CPU, with the recipe of `combiner train`.

    python -m combiner.torch.train --config CONFIG.json --data PATH -o MODEL.safetensors --steps N

It writes what `combiner train` writes: the weights, a moving average as BF16; a checkpoint, from
which either of the two goes on with --resume; and a CSV log with a row for each step. All images
lie on the device, and no step waits for the host. Ctrl-C loses nothing.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import signal
import sys
import time
from typing import List, NamedTuple, Optional

import torch

from .. import _combiner
from .data import TrainingData, read_training_data
from .trainer import Checkpoint, Report, Trainer, checkpoint_options, read_checkpoint
from .weights import parse_config, read_config

_LOG_SECONDS = 2.0  # between waits for the device, for what the log needs
_LOG_STEPS = 256  # at most


class _Interval:
    """True once every so many seconds."""

    def __init__(self, seconds: float):
        self._seconds, self._last = seconds, time.monotonic()

    def passed(self) -> bool:
        if time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True


class _Interrupt:
    """Set by the first SIGINT or SIGTERM; the second one ends the process."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)


class _Step(NamedTuple):
    report: Report
    begun: float  # seconds of the training
    ended: float  # on the host, which is ahead of the device


class _Log:
    """The rows of steps, written once their figures have been computed."""

    def __init__(self, path: pathlib.Path, step: int, batch: int):
        self._log = _combiner.TrainingLog(path, step)
        self._batch = batch
        self._waiting: List[_Step] = []
        self._due = _Interval(_LOG_SECONDS)

    def add(self, step: _Step) -> None:
        self._waiting.append(step)

    def is_due(self) -> bool:
        return len(self._waiting) >= _LOG_STEPS or self._due.passed()

    def wait(self) -> None:
        """Until the device has made the steps."""
        if self._waiting:
            self._waiting[-1].report.gradient_norm.item()

    def write(self, seconds: float, validation: Optional[float] = None) -> None:
        """Writes the rows of steps that the device had made at `seconds`. The validation is of the
        last one. Raises combiner.Error if a figure is not finite."""
        if not self._waiting:
            return
        steps, self._waiting = self._waiting, []
        figures = torch.stack([torch.stack([step.report.bits_per_dim, step.report.gradient_norm])
                               for step in steps]).tolist()
        rate = len(steps) * self._batch / max(seconds - steps[0].begun, 1e-9)
        for step, (bits, norm) in zip(steps, figures):
            report = step.report
            if not (math.isfinite(bits) and math.isfinite(norm)):
                raise _combiner.Error(
                    f"training broke down at step {report.step}: the loss is {bits}, the "
                    f"gradient's norm {norm}; go on from the last checkpoint with a lower learning "
                    f"rate than {report.learning_rate:g}")
            measured = validation if step is steps[-1] else None
            self._log.write(report.step, report.images, step.ended, bits, measured,
                            report.learning_rate, norm, rate)
        print(f"\rstep {steps[-1].report.step}, {rate:.4g} images/s, "
              f"{figures[-1][0]:.3f} bits/dim ", end="", file=sys.stderr, flush=True)


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**64:
        raise ValueError
    return seed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m combiner.torch.train", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    path = pathlib.Path
    parser.add_argument("--config", type=path, help="the model to train, a JSON config")
    parser.add_argument("--data", type=path, required=True,
                        help="CIFAR-10, downsampled ImageNet or a folder of pictures")
    parser.add_argument("-o", "--output", type=path, required=True, help="weights file to write")
    parser.add_argument("--resume", type=path, help="go on from this checkpoint")
    parser.add_argument("--overwrite", action="store_true",
                        help="begin anew even if that overwrites another training's checkpoint")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int, help="steps, those before --resume included")
    budget.add_argument("--minutes", type=float, help="minutes, those before --resume included")
    parser.add_argument("--batch", type=int, help="images a step [4; a GPU wants many more]")
    parser.add_argument("--lr", type=float, dest="learning_rate", help="learning rate [0.002]")
    parser.add_argument("--warmup", type=int, dest="warmup_steps",
                        help="steps of rising learning rate [100]")
    parser.add_argument("--decay", type=float, dest="decay_fraction",
                        help="last part of the training, in which the rate falls to 0 [0.2]")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), help="[muon]")
    parser.add_argument("--weight-decay", type=float, help="decoupled weight decay [0.01]")
    parser.add_argument("--clip", type=float, dest="clip_norm",
                        help="greatest norm of the gradient [1]")
    parser.add_argument("--average", type=float, dest="average_decay",
                        help="decay of the weights' moving average [0.999]")
    parser.add_argument("--no-flips", action="store_false", dest="flips", default=None,
                        help="mirror no images")
    parser.add_argument("--seed", type=_seed, help="of the first weights and the data's order [1]")
    parser.add_argument("--resize", action="store_true",
                        help="cut and resample pictures of another size")
    parser.add_argument("--validation-images", type=int, default=500, help="[500]")
    parser.add_argument("--validation-minutes", type=float, default=10, help="[10]")
    parser.add_argument("--checkpoint", type=path, help="[beside the weights, .checkpoint]")
    parser.add_argument("--checkpoint-minutes", type=float, default=5, help="[5]")
    parser.add_argument("--log", type=path, help="CSV log [beside the weights, .csv]")
    parser.add_argument("--device", help="as PyTorch names it [cuda if there is one, or cpu]")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"), default="auto",
                        help="of products; auto is bf16 on a GPU and f32 on a CPU")
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile")
    return parser


_COURSE = ("batch", "learning_rate", "warmup_steps", "decay_fraction", "optimizer", "weight_decay",
           "clip_norm", "average_decay", "flips", "seed")


def _options(args: argparse.Namespace, checkpoint: Optional[Checkpoint]):
    """The training options: those given, and else the checkpoint's or the library's."""
    if checkpoint is None:
        options = _combiner.TrainingOptions()
    else:
        options = checkpoint_options(args.resume, checkpoint)
    for name in _COURSE:
        if getattr(args, name) is not None:
            setattr(options, name, getattr(args, name))
    if checkpoint is None:
        options.hold_out_seed = options.seed
    options.validate("training options")
    return options


def _complete(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fills in what depends on other options, and refuses what makes no sense."""
    if args.config is None and args.resume is None:
        parser.error("--config or --resume is needed")
    if (args.steps or 1) < 1 or not (args.minutes or 1) > 0:
        parser.error("--steps or --minutes must be above 0")
    if args.validation_images < 0:
        parser.error("--validation-images must be 0 or more")
    stem = args.output.with_suffix("") if args.output.suffix == ".safetensors" else args.output
    args.checkpoint = args.checkpoint or stem.with_name(stem.name + ".checkpoint")
    args.log = args.log or stem.with_name(stem.name + ".csv")
    files = [args.output, args.checkpoint, args.log, args.config]
    paths = [file.resolve() for file in files if file is not None]
    if len(set(paths)) < len(paths):
        parser.error("the weights, the checkpoint, the log and the config must be different files")
    if any(args.data.resolve() in (file, *file.parents) for file in paths[:3]):
        parser.error(f"what is written would be part of {args.data}, which is read")
    args.device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if args.precision == "auto":
        args.precision = "f32" if args.device.type == "cpu" else "bf16"


def _check_checkpoint(args: argparse.Namespace) -> None:
    """Raises combiner.Error if the checkpoint of another training would be overwritten."""
    path = args.checkpoint
    resumed = args.resume is not None and args.resume.resolve() == path.resolve()
    if args.overwrite or resumed or not path.is_file():
        return
    step = _combiner.checkpoint_step(path)
    if step > 0:
        raise _combiner.Error(f"{path}: holds a training of {step} steps, which would be lost; go "
                              f"on with it with --resume {path}, write elsewhere, or give "
                              "--overwrite")


class _Run:
    """A training until its budget is spent."""

    def __init__(self, args: argparse.Namespace, trainer: Trainer, data: TrainingData,
                 seconds: float):
        self.args, self.trainer, self.data = args, trainer, data
        self._seconds_before, self._start = seconds, time.monotonic()
        self._interrupt = _Interrupt()
        self._lock = _combiner.FileLock()
        self._lock.take(args.checkpoint)
        self.validation: Optional[float] = None

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._start

    def fraction_done(self) -> float:
        if self.args.steps is not None:
            return self.trainer.steps / self.args.steps
        return self.seconds / (60 * self.args.minutes)

    def save(self) -> None:
        # The weights come first: a checkpoint at the end of the budget must not exist without them.
        if not self.trainer.is_finite():
            raise _combiner.Error("training broke down: the weights are not finite; go on from the "
                                  f"last checkpoint, {self.args.checkpoint}")
        self.trainer.save_weights(self.args.output)
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self.trainer.save(self.args.checkpoint, self.seconds)
        self._lock.take(self.args.checkpoint)  # a new file each time

    def run(self) -> bool:
        """Whether it finished, rather than was interrupted."""
        args, trainer = self.args, self.trainer
        log = _Log(args.log, trainer.steps, trainer.options.batch)
        self._save_checkpoint()
        checkpoint_due = _Interval(60 * args.checkpoint_minutes)
        validation_due = _Interval(60 * args.validation_minutes)
        while self.fraction_done() < 1 and not self._interrupt.asked:
            begun = self.seconds
            log.add(_Step(trainer.step(self.fraction_done()), begun, self.seconds))
            is_over = self.fraction_done() >= 1
            if validation_due.passed() or is_over:
                log.wait()
                log.write(self.seconds, self._validate())
            save = checkpoint_due.passed() and not is_over
            if save or log.is_due():
                log.wait()
                log.write(self.seconds)
            if save:
                self.save()
        log.wait()
        log.write(self.seconds)
        self.save()
        return self.fraction_done() >= 1

    def _validate(self) -> Optional[float]:
        if len(self.data.validation) == 0:
            return None
        self.validation = self.trainer.validate(self.data.validation)
        print(f"\rstep {self.trainer.steps}, {self.trainer.images} images, {self.seconds:.0f} s: "
              f"validation {self.validation:.4f} bits/dim", file=sys.stderr)
        return self.validation


def _train(args: argparse.Namespace) -> int:
    checkpoint = None if args.resume is None else read_checkpoint(args.resume)
    options = _options(args, checkpoint)
    if checkpoint is None:
        config = read_config(args.config)
    else:
        config = _config_of(args, checkpoint)
    _check_checkpoint(args)
    # Checkpoints from before there was a draw have no seed for it.
    seed = options.seed if options.hold_out_seed is None else options.hold_out_seed
    data = read_training_data(args.data, config, resize=args.resize,
                              validation_images=args.validation_images, seed=seed)
    print(f"training on {len(data.training)} images, validating on {len(data.validation)} "
          f"({data.origin}), {args.precision} on {args.device}", file=sys.stderr)
    trainer = Trainer(config, options, data.training, args.precision, args.device,
                      not args.no_compile)
    seconds = 0.0
    if checkpoint is not None:
        trainer.restore(args.resume, checkpoint)
        seconds = float(checkpoint[0]["seconds"])
    run = _Run(args, trainer, data, seconds)
    finished = run.run()
    print(file=sys.stderr)  # ends the line of progress
    if not finished:
        print(f"interrupted at step {trainer.steps}; --resume {args.checkpoint} goes on from "
              "there", file=sys.stderr)
        return 130
    validation = "" if run.validation is None else f", validation {run.validation:.4f} bits/dim"
    print(f"{args.output}: {trainer.steps} steps, {trainer.images} images{validation}")
    return 0


def _config_of(args: argparse.Namespace, checkpoint: Checkpoint) -> dict:
    """The checkpoint's config, which must be the one that was given, if one was."""
    config = parse_config(checkpoint[0]["config"], str(args.resume))
    if args.config is not None and read_config(args.config) != config:
        raise _combiner.Error(f"{args.config}: not the config that {args.resume} was made with; "
                              "leave --config out, or train from scratch without --resume")
    return config


def main(arguments: Optional[List[str]] = None) -> int:
    parser = _parser()
    args = parser.parse_args(arguments)
    _complete(parser, args)
    try:
        return _train(args)
    except _combiner.Error as error:
        print(f"combiner.torch.train: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

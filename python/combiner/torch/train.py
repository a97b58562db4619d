"""Trains a model with PyTorch, on a GPU or a CPU, with the recipe of `combiner train`.

    python -m combiner.torch.train --config CONFIG.json --data PATH -o MODEL.safetensors --steps N

It writes what `combiner train` writes: the weights, a moving average as BF16; a checkpoint, from
which either of the two goes on with --resume; and a CSV log with a row for each step. All images
lie on the device, and no step waits for the host. Ctrl-C, `kill` and a failing step lose nothing.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import pathlib
import signal
import sys
import time
from typing import Callable, Iterator, List, NamedTuple, Optional

import torch

from .. import _combiner
from .checkpoint import Checkpoint, read_checkpoint
from .data import TrainingData, read_training_data
from .trainer import Report, Trainer
from .weights import read_config

_LOG_SECONDS = 2.0  # between waits for the device, for what the log needs
_LOG_STEPS = 256  # at most
_MOST_MINUTES = 10_000_000  # 19 years


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
    """Set by the first of the signals that ask to end; the second one ends the process. A signal
    that was ignored stays ignored, as nohup wants."""

    def __init__(self) -> None:
        self.asked = False
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
        self._caught = [number for number in signals
                        if signal.getsignal(number) is not signal.SIG_IGN]
        for number in self._caught:
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True
        for number in self._caught:
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

    def begin(self) -> None:
        """Drops the rows of later steps, or begins a new file."""
        self._log.begin()

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


def _number(kind: type, low: int, high: float = math.inf, *,
            above_low: bool = False) -> Callable:
    """Reads a number in this range for argparse, which shows the complaint."""
    accepted = (f"above {low} and at most {high}" if above_low else
                f"of {low} or more" if high == math.inf else f"from {low} to {high}")
    expected = f"{'a whole number' if kind is int else 'a number'} {accepted}"

    def read(text: str):
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if low <= number <= high and not (above_low and number == low):
            return number
        raise argparse.ArgumentTypeError(f"{text} is not {expected}")

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m combiner.torch.train", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    path = pathlib.Path
    parser.add_argument("--config", type=path, help="the model to train, a JSON config")
    parser.add_argument("--data", type=path, required=True, action="append",
                        help="CIFAR-10, downsampled ImageNet or a folder of pictures; once or "
                        "several times, to train on all of them")
    parser.add_argument("-o", "--output", type=path, required=True, help="weights file to write")
    parser.add_argument("--resume", type=path, help="go on from this checkpoint")
    parser.add_argument("--overwrite", action="store_true",
                        help="begin anew even if that overwrites another training")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=_number(int, 1),
                        help="steps, those before --resume included")
    budget.add_argument("--minutes", type=_number(float, 0, _MOST_MINUTES, above_low=True),
                        help="minutes, those before --resume included")
    parser.add_argument("--batch", type=_number(int, 1, 2**31 - 1),
                        help="images per step [4; a GPU wants many more]")
    parser.add_argument("--lr", type=float, dest="learning_rate", help="learning rate [0.002]")
    parser.add_argument("--warmup", type=_number(int, 0, 2**31 - 1), dest="warmup_steps",
                        help="warm-up steps, over which the learning rate rises [100]")
    parser.add_argument("--decay", type=float, dest="decay_fraction",
                        help="part of the training, at its end, over which the rate falls to 0 [0.2]")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), help="[muon]")
    parser.add_argument("--weight-decay", type=float, help="decoupled weight decay [0.01]")
    parser.add_argument("--clip", type=float, dest="clip_norm",
                        help="greatest norm of the gradient [1]")
    parser.add_argument("--average", type=float, dest="average_decay",
                        help="decay of the weights' moving average [0.999]")
    parser.add_argument("--no-flips", action="store_false", dest="flips", default=None,
                        help="mirror no images")
    parser.add_argument("--seed", type=_number(int, 0, 2**64 - 1),
                        help="of the first weights and the data's order [1]")
    parser.add_argument("--resize", action="store_true",
                        help="centre-crop and resample pictures of another size")
    minutes = _number(float, 0, _MOST_MINUTES)
    parser.add_argument("--validation-images", type=_number(int, 0), default=500,
                        help="[500]")
    parser.add_argument("--validation-minutes", type=minutes, default=10, help="[10]")
    parser.add_argument("--checkpoint", type=path, help="[beside the weights, .checkpoint]")
    parser.add_argument("--checkpoint-minutes", type=minutes, default=5, help="[5]")
    parser.add_argument("--log", type=path, help="CSV log [beside the weights, .csv]")
    parser.add_argument("--device", help="as PyTorch names it [cuda if there is one, or cpu]")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16"),
                        help="of products; auto is bf16 on a GPU and f32 on a CPU [auto; with "
                        "--resume, that of the checkpoint]")
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile")
    return parser


_COURSE = ("batch", "learning_rate", "warmup_steps", "decay_fraction", "optimizer", "weight_decay",
           "clip_norm", "average_decay", "flips", "seed")


def _options(args: argparse.Namespace, checkpoint: Optional[Checkpoint]):
    """The training options: those given, and else the checkpoint's or the library's."""
    options = (_combiner.TrainingOptions() if checkpoint is None
               else copy.copy(checkpoint.options))
    for name in _COURSE:
        if getattr(args, name) is not None:
            setattr(options, name, getattr(args, name))
    if checkpoint is None:
        options.hold_out_seed = options.seed
    options.validate("training options")
    return options


def _precision(args: argparse.Namespace, checkpoint: Optional[Checkpoint]) -> str:
    fastest = "f32" if args.device.type == "cpu" else "bf16"
    if args.precision is None and checkpoint is not None:
        return checkpoint.precision or fastest
    return fastest if args.precision in (None, "auto") else args.precision


def _complete(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fills in what depends on other options, and refuses what makes no sense."""
    if args.config is None and args.resume is None:
        parser.error("--config or --resume is needed")
    stem = args.output.with_suffix("") if args.output.suffix == ".safetensors" else args.output
    args.checkpoint = args.checkpoint or stem.with_name(stem.name + ".checkpoint")
    args.log = args.log or stem.with_name(stem.name + ".csv")
    _check_files_differ(parser, args)
    _check_data_differ(parser, args.data)
    for data, file in itertools.product(args.data, (args.output, args.checkpoint, args.log)):
        path = file.resolve()
        if data.resolve() in (path, *path.parents):
            parser.error(f"{file} would be part of {data}, which is read; write elsewhere")
    args.device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _check_files_differ(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Only the checkpoint may replace the one that the run resumes from."""
    files = {"--output": args.output, "--log": args.log, "--config": args.config,
             "--checkpoint": args.checkpoint, "--resume": args.resume}
    for (one, path), (other, other_path) in itertools.combinations(files.items(), 2):
        if path is None or other_path is None or _is_device(path):
            continue
        if path.resolve() == other_path.resolve() and (one, other) != ("--checkpoint", "--resume"):
            parser.error(f"{one} and {other} are the same file, {path}")


def _is_device(path: pathlib.Path) -> bool:
    """Whether it is something like /dev/null, which keeps nothing that could be overwritten."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _check_data_differ(parser: argparse.ArgumentParser, data: List[pathlib.Path]) -> None:
    """Data given twice would be trained on where it is held out for validation."""
    for one, other in itertools.combinations(data, 2):
        if one.exists() and other.exists() and one.samefile(other):
            parser.error(f"--data {one} and --data {other} are the same data")


def _check_other_training(args: argparse.Namespace, step: int) -> None:
    """Raises combiner.Error if another training's weights, log or checkpoint would be overwritten,
    or any other file.

    step: that the training begins at
    """
    path = args.checkpoint
    weights = _combiner.weights_at(args.output)
    resumed = args.resume is not None and args.resume.resolve() == path.resolve()
    if args.overwrite or resumed:
        return
    made = _combiner.checkpoint_step(path) if path.is_file() else 0
    if made > 0:
        raise _combiner.Error(f"{path}: holds a training of {made} steps, which would be lost; go "
                              f"on with it with --resume {path}, write elsewhere, or give "
                              "--overwrite")
    if _combiner.has_rows_after(args.log, step):
        raise _combiner.Error(f"{args.log}: is the log of another training, of which rows would be "
                              "lost; write elsewhere, or give --overwrite")
    if weights != _combiner.WeightsThere.no:
        raise _combiner.Error(f"{args.output}: holds weights, which would be lost; write elsewhere, "
                              "or give --overwrite")


def _fraction_done(args: argparse.Namespace, steps: int, seconds: float) -> float:
    if args.steps is not None:
        return steps / args.steps
    return seconds / (60 * args.minutes)


class _Run:
    """A training until its budget is spent. Raises combiner.Error if one of its files can't be
    written; as far as possible, that is found out here, before any is overwritten."""

    def __init__(self, args: argparse.Namespace, trainer: Trainer, data: TrainingData,
                 seconds: float, lock: "_combiner.FileLock"):
        self.args, self.trainer, self.data = args, trainer, data
        self._seconds_before, self._start = seconds, time.monotonic()
        self._interrupt = _Interrupt()
        self._lock = lock
        for path in (args.output, args.checkpoint):
            _combiner.check_writable(path)
        self._log = _Log(args.log, trainer.steps, trainer.options.batch)
        self._first_step = self._saved_step = trainer.steps
        self.validation: Optional[float] = None

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._start

    def fraction_done(self) -> float:
        return _fraction_done(self.args, self.trainer.steps, self.seconds)

    def run(self) -> bool:
        """Whether it finished, rather than was interrupted. If it fails, the steps that were made
        are kept."""
        self._save_checkpoint()
        self._log.begin()
        try:
            finished = self._make_steps()
            self._write_log()
            self._save()
        except Exception:
            self._keep_steps()
            raise
        return finished

    def _make_steps(self) -> bool:
        args, trainer = self.args, self.trainer
        checkpoint_due = _Interval(60 * args.checkpoint_minutes)
        validation_due = _Interval(60 * args.validation_minutes)
        # As it was before the first checkpoint was written, so that at least one step is made. Time
        # without a step is no training.
        done = _fraction_done(args, trainer.steps, self._seconds_before) if trainer.steps > 0 else 0.0
        while done < 1 and not self._interrupt.asked:
            begun = self.seconds
            self._log.add(_Step(trainer.step(done), begun, self.seconds))
            done = self.fraction_done()  # once a step, so that all below agree on the last one
            if validation_due.passed() or done >= 1:
                self._log.wait()
                self._log.write(self.seconds, self._validate())
                # A validation may take longer than the interval.
                validation_due = _Interval(60 * args.validation_minutes)
            save = checkpoint_due.passed() and done < 1
            if save or self._log.is_due():
                self._write_log()
            if save:
                self._save()
        return done >= 1

    def _write_log(self) -> None:
        self._log.wait()
        self._log.write(self.seconds)

    def _save(self) -> None:
        # The weights come first: a checkpoint at the end of the budget must not exist without them.
        if not self.trainer.is_finite():
            raise _combiner.Error("training broke down: the weights are not finite; go on from the "
                                  f"last checkpoint, {self.args.checkpoint}")
        self._lock.require_same(self.args.checkpoint)
        # A run without a step has no weights that are worth more than those that may be there.
        if self.trainer.steps > self._first_step:
            self.trainer.save_weights(self.args.output)
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self._lock.require_same(self.args.checkpoint)
        self.trainer.save(self.args.checkpoint, self.seconds)
        self._lock.take(self.args.checkpoint)  # a new file each time
        self._saved_step = self.trainer.steps

    def _keep_steps(self) -> None:
        """After a failure: saves the steps since the last checkpoint, if they are any good."""
        trainer, path = self.trainer, self.args.checkpoint
        if trainer.steps == self._saved_step or not trainer.is_whole or not trainer.is_finite():
            return
        try:
            self._lock.require_same(path)
        except _combiner.Error:  # another run has taken its name
            path = next(aside for aside in _asides(path, trainer.steps) if not aside.exists())
            trainer.save(path, self.seconds)
        else:
            self._save()
        print(f"\nsaved step {trainer.steps} in {path}", file=sys.stderr)
        self._write_log()

    def _validate(self) -> Optional[float]:
        if len(self.data.validation) == 0:
            return None
        self.validation = self.trainer.validate(self.data.validation)
        print(f"\rstep {self.trainer.steps}, {self.trainer.images} images, {self.seconds:.0f} s: "
              f"validation {self.validation:.4f} bits/dim", file=sys.stderr)
        return self.validation


def _asides(checkpoint: pathlib.Path, step: int) -> Iterator[pathlib.Path]:
    """Names for a checkpoint whose own is another run's."""
    for number in itertools.count(1):
        more = f"-{number}" if number > 1 else ""
        yield checkpoint.with_name(f"{checkpoint.stem}.step-{step}{more}{checkpoint.suffix}")


def _train(args: argparse.Namespace) -> int:
    lock = _combiner.FileLock()
    lock.take(args.checkpoint)
    checkpoint = None if args.resume is None else read_checkpoint(args.resume)
    options = _options(args, checkpoint)
    config = read_config(args.config) if checkpoint is None else _config_of(args, checkpoint)
    _check_other_training(args, 0 if checkpoint is None else checkpoint.step)
    data = read_training_data(args.data, config, resize=args.resize,
                              validation_images=args.validation_images,
                              seed=options.hold_out_seed)
    precision = _precision(args, checkpoint)
    print(f"training on {len(data.training)} images, validating on {len(data.validation)} "
          f"({data.origin}), {precision} on {args.device}", file=sys.stderr)
    trainer = Trainer(config, options, data.training, precision, args.device, not args.no_compile)
    seconds = 0.0
    if checkpoint is not None:
        trainer.restore(args.resume, checkpoint)
        seconds = checkpoint.seconds
    if trainer.steps > 0 and _fraction_done(args, trainer.steps, seconds) >= 1:
        return _end(args, trainer, seconds)
    run = _Run(args, trainer, data, seconds, lock)
    finished = run.run()
    print(file=sys.stderr)  # ends the line of progress
    if not finished:
        print(f"interrupted at step {trainer.steps}; --resume {args.checkpoint} goes on from "
              "there", file=sys.stderr)
        return 130
    validation = "" if run.validation is None else f", validation {run.validation:.4f} bits/dim"
    print(f"{args.output}: {trainer.steps} steps, {trainer.images} images{validation}")
    return 0


def _end(args: argparse.Namespace, trainer: Trainer, seconds: float) -> int:
    """Of a training whose budget is spent: writes nothing but weights that are absent or damaged."""
    asked = f"{args.steps} steps" if args.steps is not None else f"{args.minutes:g} min"
    print(f"{args.resume}: the training is over: it has made {trainer.steps} steps in "
          f"{seconds / 60:.1f} minutes; asked for in all: {asked}", file=sys.stderr)
    if _combiner.weights_at(args.output) == _combiner.WeightsThere.yes:
        print(f"{args.output}: was there already, and is left as it is", file=sys.stderr)
        return 0
    trainer.save_weights(args.output)
    print(f"{args.output}: {trainer.steps} steps, {trainer.images} images")
    return 0


def _config_of(args: argparse.Namespace, checkpoint: Checkpoint) -> dict:
    """The checkpoint's config, which must be the one that was given, if one was."""
    if args.config is not None and read_config(args.config) != checkpoint.config:
        raise _combiner.Error(f"{args.config}: not the config that {args.resume} was made with; "
                              "leave --config out, or train from scratch without --resume")
    return checkpoint.config


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

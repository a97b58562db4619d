import csv
import json
import os
import signal
import types

import numpy as np
import pytest

import combiner
from combiner import _combiner
from conftest import GOLDEN, MODELS, REPOSITORY, golden

torch = pytest.importorskip("torch", reason="torch is not installed")
import combiner.torch as ct  # noqa: E402
from combiner.torch import train  # noqa: E402
from combiner.torch.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from combiner.torch.data import read_training_data  # noqa: E402
from combiner.torch.optimizer import Optimizer  # noqa: E402
from combiner.torch.trainer import Trainer  # noqa: E402

torch.set_num_threads(1)


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_engine(name, dtype):
    path, expected = golden(name)
    images = expected["pixels"]
    with torch.no_grad():
        logits = ct.load_model(path).to(dtype)(torch.from_numpy(np.array(images))).numpy()
    assert relative_error(logits, combiner.load(path, "f32").logits(images)) < 1e-5
    assert relative_error(logits, expected["logits"].reshape(logits.shape)) < 1e-5


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("variant", ct.VARIANTS)
def test_attention_is_the_layers(variant, bidirectional):
    if bidirectional and variant not in ct.BIDIRECTIONAL:
        with pytest.raises(ValueError, match="bidirectional attention"):
            ct.CombinerAttention(variant, 8, 2, bidirectional=True)
        return
    torch.manual_seed(1)
    rows, columns, dim, heads = 5, 6, 8, 2
    layer = ct.CombinerAttention(variant, dim, heads, bidirectional=bidirectional)
    x = torch.randn(1, rows, columns, dim)
    with torch.no_grad():
        q, k, v = (dense(x)[0].flatten(0, 1).numpy()
                   for dense in (layer.query, layer.key, layer.value))
        expected = layer(x)[0].flatten(0, 1).numpy()
    weights = {name: array.numpy() for name, array in layer.state_dict().items()
               if name.startswith("summary")}
    engine = combiner.attention(variant, rows, columns, dim, heads, bidirectional=bidirectional,
                                summary=weights or None)
    out = engine(q, k, v, x[0].flatten(0, 1).numpy() if weights else None)
    actual = torch.from_numpy(out) @ layer.output.weight.detach().T
    assert relative_error(actual.numpy(), expected) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_is_what_was_loaded(name, tmp_path):
    path, _ = golden(name)
    model = ct.load_model(path)
    ct.save_model(model, tmp_path / "new.safetensors", "f32")
    again = ct.load_model(tmp_path / "new.safetensors")
    assert model.config == again.config
    for (a, x), (b, y) in zip(model.named_parameters(), again.named_parameters()):
        assert a == b and torch.equal(x, y)


@pytest.mark.parametrize("dtype, value", [("f32", float("nan")), ("bf16", float("-inf")),
                                          ("bf16", 3.4e38)])
def test_what_no_reader_takes_is_not_saved(tmp_path, dtype, value):
    path = tmp_path / "model.safetensors"
    path.write_text("what was there")
    model = ct.load_model(golden("pixel_mixed")[0])
    model.norm.weight.data[1] = value
    with pytest.raises(combiner.Error, match=f"norm.weight holds values .* not finite in {dtype}"):
        ct.save_model(model, path, dtype)
    assert path.read_text() == "what was there"


def test_images_of_another_kind():
    model = ct.load_model(golden("pixel_mixed")[0])  # of 3x6 pixels
    images = torch.zeros(1, 3, 6, 3)
    for compute in (model, model.nats):
        with pytest.raises(TypeError, match=r"float32; expected an integer type \[B, 3, 6, 3\]"):
            compute(images)
        with pytest.raises(ValueError, match=r"shape \[1, 3, 6, 1\]; expected \[B, 3, 6, 3\]"):
            compute(images[..., :1].byte())
    with torch.no_grad():
        assert torch.equal(model(images.byte()), model(images.long()))


@pytest.fixture
def config(tmp_path):
    """A small config, in a file."""
    path = tmp_path / "config.json"
    content = json.loads((REPOSITORY / "models/configs/ablation.json").read_text())
    content.update(image={"height": 8, "width": 8, "channels": 3}, embed_dim=16, num_layers=2,
                   num_heads=2, mlp_dim=32)
    path.write_text(json.dumps(content))
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


DATA = ["--data", str(REPOSITORY / "samples/images"), "--resize", "--validation-images", "2"]


def train_plainly(*arguments):
    return train.main(["--device", "cpu", "--no-compile", *map(str, arguments)])


def train_here(*arguments):
    return train_plainly(*DATA, "--precision", "f32", *arguments)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_steps_are_the_programs(run_program, config, tmp_path, optimizer):
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    arguments = ["--config", config, "--steps", 5, "--warmup", 2, "--optimizer", optimizer]
    assert train_here(*arguments, "-o", here) == 0
    run_program("train", *DATA, *arguments, "-o", there, "--precision", "f32")
    logs = [rows(tmp_path / name) for name in ("here.csv", "there.csv")]
    assert [len(log) for log in logs] == [5, 5]
    for a, b in zip(*logs):
        for figure in ("loss", "learning_rate", "gradient_norm"):
            assert float(a[figure]) == pytest.approx(float(b[figure]), rel=1e-3)
    images = combiner.load(GOLDEN / "pixel_mixed.safetensors").sample(1)  # any bytes will do
    images = np.resize(images, (4, 8, 8, 3))
    bits = [combiner.load(path, "f32").bits_per_dim(images).mean() for path in (here, there)]
    assert bits[0] == pytest.approx(bits[1], abs=1e-3)


def test_evaluates_to_the_same_bits_here_and_in_the_engine(config, tmp_path):
    path = tmp_path / "model.safetensors"
    assert train_here("--config", config, "--steps", 20, "-o", path) == 0
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)
    with torch.no_grad():
        nats = ct.load_model(path).nats(torch.from_numpy(images)).mean((1, 2, 3)).numpy()
    assert nats / np.log(2) == pytest.approx(combiner.load(path, "f32").bits_per_dim(images),
                                             abs=1e-4)


def test_goes_on_from_checkpoints_of_both(run_program, config, tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    # The rate must not depend on how long the training is to be.
    arguments = ["--warmup", 2, "--decay", 0]
    assert train_here("--config", config, *arguments, "--steps", 8, "-o", whole) == 0
    assert train_here("--config", config, *arguments, "--steps", 4, "-o", parts) == 0
    checkpoint = tmp_path / "parts.checkpoint"
    assert train_here("--resume", checkpoint, "--steps", 8, "-o", parts) == 0
    assert whole.read_bytes() == parts.read_bytes()
    # The program goes on from here, and this from the program.
    run_program("train", *DATA, "--resume", checkpoint, "--steps", 10, "-o", parts, "--precision",
                "f32")
    assert train_here("--resume", checkpoint, "--steps", 12, "-o", parts) == 0
    assert [int(row["step"]) for row in rows(tmp_path / "parts.csv")] == list(range(1, 13))


def test_a_training_that_is_over_writes_only_weights_that_are_absent(config, tmp_path, capsys):
    path, checkpoint = tmp_path / "model.safetensors", tmp_path / "model.checkpoint"
    assert train_here("--config", config, "--steps", 2, "-o", path) == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    stamps = {file: file.stat().st_mtime_ns for file in before}
    for budget in (["--steps", 2], ["--steps", 1], ["--minutes", 1e-9]):
        assert train_here("--resume", checkpoint, *budget, "-o", path) == 0
        assert f"{path}: was there already, and is left as it is" in capsys.readouterr().err
        assert stamps == {file: file.stat().st_mtime_ns for file in before}
    for lose in (path.unlink, lambda: path.write_bytes(before[path][:-100])):
        lose()
        assert train_here("--resume", checkpoint, "--steps", 2, "-o", path) == 0
        assert "the training is over: it has made 2 steps" in capsys.readouterr().err
        assert {file: file.read_bytes() for file in before} == before


def test_train_refuses(config, tmp_path, capsys):
    path, checkpoint = tmp_path / "model.safetensors", tmp_path / "model.checkpoint"
    assert train_here("--config", config, "--steps", 1, "-o", path) == 0
    other_run = _combiner.FileLock()
    other_run.take(checkpoint)
    assert train_here("--resume", checkpoint, "--steps", 2, "-o", path) == 1
    assert "is being written by another run" in capsys.readouterr().err
    del other_run
    assert train_here("--config", config, "--steps", 2, "-o", path) == 1
    assert "holds a training of 1 steps, which would be lost" in capsys.readouterr().err
    assert train_here("--config", config, "--steps", 1, "--lr", -1, "-o", tmp_path / "x") == 1
    assert "learning_rate is -1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train_here("--config", config, "-o", tmp_path / "x")


def save_pictures(folder, count, seed):
    """Pictures of 8x8, in their order."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    for i, image in enumerate(images):
        combiner.Picture(image).save(folder / f"{i}.png")
    return images


def test_goes_on_with_several_data_sets(run_program, config, tmp_path, capsys):
    output = tmp_path / "model.safetensors"
    data = []
    for number in (1, 2):
        save_pictures(tmp_path / f"data{number}", 5, number)
        data += ["--data", tmp_path / f"data{number}"]
    arguments = ["--validation-images", 2, "-o", output]
    run_program("train", *data, *arguments, "--config", config, "--steps", 1)
    resume = ["--resume", tmp_path / "model.checkpoint"]
    assert train_plainly(*data, *arguments, *resume, "--steps", 2) == 0
    swapped = [*data[2:], *data[:2]]
    assert train_plainly(*swapped, *arguments, *resume, "--steps", 3) == 1
    assert "in the same order" in capsys.readouterr().err


def test_resume_takes_the_checkpoints_precision(config, tmp_path, capsys):
    path, checkpoint = tmp_path / "model.safetensors", tmp_path / "model.checkpoint"

    def precision_of(steps, *arguments):
        assert train_plainly(*DATA, *arguments, "--steps", steps, "-o", path) == 0
        return read_checkpoint(checkpoint).precision

    assert precision_of(1, "--config", config, "--precision", "bf16") == "bf16"
    assert precision_of(2, "--resume", checkpoint) == "bf16"
    assert "bf16 on cpu" in capsys.readouterr().err
    assert precision_of(3, "--resume", checkpoint, "--precision", "auto") == "f32"
    write_checkpoint(checkpoint, read_checkpoint(checkpoint)._replace(precision=None))
    assert precision_of(4, "--resume", checkpoint) == "f32"


def test_without_a_seed_the_last_images_are_kept_apart(config, tmp_path, capsys):
    images = save_pictures(tmp_path / "data/train", 5, 1)
    save_pictures(tmp_path / "data/valid", 3, 2)
    data = read_training_data([tmp_path / "data"], json.loads(config.read_text()), resize=False,
                              validation_images=2, seed=None)
    assert np.array_equal(data.training, images[:3])
    assert np.array_equal(data.validation, images[3:])
    # A checkpoint from before there was a draw.
    arguments = ["--data", tmp_path / "data", "--validation-images", 2, "-o", tmp_path / "model"]
    assert train_plainly(*arguments, "--config", config, "--steps", 1) == 0
    path = tmp_path / "model.checkpoint"
    checkpoint = read_checkpoint(path)
    checkpoint.options.hold_out_seed = None
    write_checkpoint(path, checkpoint._replace(training_images=3,
                                               data_sample=_combiner.data_sample(images[:3])))
    assert train_plainly(*arguments, "--resume", path, "--steps", 2) == 0
    assert "training on 3 images, validating on 2 (the last of" in capsys.readouterr().err


@pytest.fixture
def clock(monkeypatch):
    """A clock for the training that goes on by a second each time that it is looked at."""
    clock = types.SimpleNamespace(now=0.0)

    def monotonic():
        clock.now += 1
        return clock.now

    monkeypatch.setattr(train, "time", types.SimpleNamespace(monotonic=monotonic))
    return clock


def test_the_last_step_is_always_validated(config, tmp_path, clock):
    path = tmp_path / "model.safetensors"
    for seconds in range(30, 42):  # it ends between any two looks at the clock
        assert train_here("--config", config, "--minutes", seconds / 60, "-o", path,
                          "--overwrite") == 0
        assert rows(tmp_path / "model.csv")[-1]["validation"] != ""


def test_a_long_validation_does_not_follow_itself(config, tmp_path, clock, monkeypatch):
    def validate(self, images):
        clock.now += 600
        return 8.0

    monkeypatch.setattr(Trainer, "validate", validate)
    assert train_here("--config", config, "--steps", 30, "--validation-minutes", 1, "-o",
                      tmp_path / "model.safetensors") == 0
    validated = [row["validation"] != "" for row in rows(tmp_path / "model.csv")[:-1]]
    assert any(validated) and not any(map(all, zip(validated, validated[1:])))


@pytest.fixture
def signals():
    """Puts the handlers back as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def in_step(monkeypatch, number, act):
    """Has `act` called with the trainer before a step."""
    step = Trainer.step

    def acting(self, fraction_done):
        if self.steps + 1 == number:
            act(self)
        return step(self, fraction_done)

    monkeypatch.setattr(Trainer, "step", acting)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_ends_it_and_loses_nothing(config, tmp_path, monkeypatch, number, capsys):
    signal.signal(number, signal.default_int_handler)
    in_step(monkeypatch, 2, lambda trainer: os.kill(os.getpid(), number))
    assert train_here("--config", config, "--steps", 9, "-o", tmp_path / "model.safetensors") == 130
    assert "interrupted at step 2" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "model.checkpoint").step == 2
    assert signal.getsignal(number) is signal.SIG_DFL  # the next one ends the process


@pytest.mark.usefixtures("signals")
def test_ignored_signals_stay_ignored(config, tmp_path, monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def send(trainer):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)

    in_step(monkeypatch, 2, send)
    assert train_here("--config", config, "--steps", 9, "-o", tmp_path / "model.safetensors") == 130
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("signals")
def test_interrupted_stays_interrupted_if_time_runs_out_meanwhile(config, tmp_path, clock,
                                                                  monkeypatch):
    in_step(monkeypatch, 2, lambda trainer: os.kill(os.getpid(), signal.SIGTERM))
    save_weights = Trainer.save_weights

    def save_slowly(self, path):
        clock.now += 10_000
        save_weights(self, path)

    monkeypatch.setattr(Trainer, "save_weights", save_slowly)
    assert train_here("--config", config, "--minutes", 100, "-o",
                      tmp_path / "model.safetensors") == 130


def fail(*_):
    raise RuntimeError("out of memory")


def test_a_failing_step_loses_no_others(config, tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.safetensors"
    in_step(monkeypatch, 4, fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        train_here("--config", config, "--steps", 9, "-o", path)
    assert f"saved step 3 in {tmp_path / 'model.checkpoint'}" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "model.checkpoint").step == 3
    assert [row["step"] for row in rows(tmp_path / "model.csv")] == ["1", "2", "3"]
    assert combiner.load(path).height == 8


def test_a_failing_step_keeps_nothing_that_is_no_good(config, tmp_path, monkeypatch):
    def break_down(trainer):
        next(trainer.model.parameters()).data.fill_(float("nan"))
        fail()

    with monkeypatch.context() as context:
        in_step(context, 4, break_down)
        with pytest.raises(RuntimeError, match="out of memory"):
            train_here("--config", config, "--steps", 9, "-o", tmp_path / "a")
    assert read_checkpoint(tmp_path / "a.checkpoint").step == 0
    # Half a step.
    adam = Optimizer._adam
    monkeypatch.setattr(Optimizer, "_adam",
                        lambda self, *rest: fail() if self.steps == 4 else adam(self, *rest))
    with pytest.raises(RuntimeError, match="out of memory"):
        train_here("--config", config, "--steps", 9, "-o", tmp_path / "b")
    assert read_checkpoint(tmp_path / "b.checkpoint").step == 0


def test_finds_out_at_once_what_cannot_be_written(config, tmp_path, capsys):
    output, checkpoint, log = tmp_path / "none/model", tmp_path / "checkpoint", tmp_path / "log"
    assert train_here("--config", config, "--steps", 1, "-o", output, "--checkpoint", checkpoint,
                      "--log", log) == 1
    assert f"{output}: can't create the file" in capsys.readouterr().err
    assert not checkpoint.exists() and not log.exists()


@pytest.mark.parametrize("arguments, complaint", [
    (["--steps", 0], "argument --steps: 0 is not a whole number of 1 or more"),
    (["--steps", 1.5], "argument --steps: 1.5 is not a whole number"),
    (["--minutes", 0], "argument --minutes: 0 is not a number above 0"),
    (["--minutes", "inf"], "argument --minutes: inf is not a number above 0"),
    (["--minutes", "nan"], "argument --minutes: nan is not a number above 0"),
    (["--steps", 1, "--checkpoint-minutes", -1], "argument --checkpoint-minutes: -1 is not"),
    (["--steps", 1, "--validation-minutes", "nan"], "argument --validation-minutes: nan is not"),
    (["--steps", 1, "--validation-images", -1], "argument --validation-images: -1 is not"),
    (["--steps", 1, "--seed", 2**64], "argument --seed: 18446744073709551616 is not"),
    (["--steps", 1, *DATA[:2]], "are the same data"),
    (["--steps", 1, "--resume", "old", "--log", "old"], "--log and --resume are the same file"),
    (["--steps", 1, "--resume", "model"], "--output and --resume are the same file"),
    (["--steps", 1, "--checkpoint", "config"], "--config and --checkpoint are the same file"),
    (["--steps", 1, "--log", REPOSITORY / "samples/images/log"], "which is read; write elsewhere"),
])
def test_refuses_arguments(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as raised:
        train_here("--config", "config", "-o", "model", *arguments)
    assert raised.value.code == 2
    assert complaint in capsys.readouterr().err


def test_refuses_a_damaged_checkpoint(config, tmp_path, capsys):
    path = tmp_path / "model.checkpoint"
    assert train_here("--config", config, "--steps", 1, "-o", tmp_path / "model") == 0
    good = read_checkpoint(path)

    def complaint_about(**changed):
        write_checkpoint(path, good._replace(**changed))
        assert train_here("--resume", path, "--steps", 2, "-o", tmp_path / "model") == 1
        return capsys.readouterr().err

    for name in good.tensors:
        short = {**good.tensors, name: good.tensors[name][:-1]}
        size = good.tensors[name].size
        expected = (f'{path}: tensor "weights" has {size - 1} elements, expected {size}'
                    if name == "weights" else
                    f"{path}: tensor {name} has the shape [{size - 1}]; expected [{size}]")
        assert expected in complaint_about(tensors=short)
        del short[name]
        assert f"{path}: tensor {name} is missing" in complaint_about(tensors=short)
    assert "seconds in the metadata is 'nan'" in complaint_about(seconds=float("nan"))
    good.options.optimizer = "adamw"
    write_checkpoint(path, good)
    assert train_here("--resume", path, "--steps", 2, "-o", tmp_path / "model", "--optimizer",
                      "muon") == 1
    assert "the state of another optimiser" in capsys.readouterr().err

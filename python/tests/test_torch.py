import csv
import json

import numpy as np
import pytest

import combiner
from combiner import _combiner
from conftest import GOLDEN, MODELS, REPOSITORY, golden

torch = pytest.importorskip("torch", reason="torch is not installed")
import combiner.torch as ct  # noqa: E402
from combiner.torch import train  # noqa: E402

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


def train_here(*arguments):
    return train.main([*DATA, "--device", "cpu", "--precision", "f32", "--no-compile",
                       *map(str, arguments)])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_steps_are_the_programs(run_program, config, tmp_path, optimizer):
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    arguments = ["--config", config, "--steps", 5, "--warmup", 2, "--optimizer", optimizer]
    assert train_here(*arguments, "-o", here) == 0
    run_program("train", *DATA, *arguments, "-o", there, "--precision", "f32")
    for a, b in zip(rows(tmp_path / "here.csv"), rows(tmp_path / "there.csv")):
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

import json
import os
import signal
import threading

import numpy as np
import pytest

import combiner
from conftest import GOLDEN, MODELS, REPOSITORY, golden
from random_weights import write_random_weights
from tiny_config import tiny_config


def test_shipped_model(shipped):
    assert shipped.name == "cifar10.safetensors"
    assert shipped.config["embed_dim"] == 160
    assert (shipped.height, shipped.width) == (32, 32)
    assert len(shipped.sha256) == 64


def test_pictures_have_three_channels(tmp_path):
    config = tiny_config(4, 4, tokens="subpixel", context=[], stem=None, start_token=0,
                         image={"height": 4, "width": 4, "channels": 4})
    (tmp_path / "four.json").write_text(json.dumps(config))
    write_random_weights(tmp_path / "four.json", tmp_path / "four.safetensors")
    four = combiner.load(tmp_path / "four.safetensors")
    images = np.zeros((2, 4, 4, 3), np.uint8)
    for measure in (four.logits, four.bits_per_dim):
        with pytest.raises(combiner.Error, match="4 channels"):
            measure(images)


def test_a_file_comes_before_a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").write_bytes((GOLDEN / "pixel_mixed.safetensors").read_bytes())
    assert combiner.load("cifar10").name == "cifar10"
    (tmp_path / "cifar10").unlink()
    assert combiner.load("cifar10").name == "cifar10.safetensors"
    with pytest.raises(combiner.Error, match="cifar11"):
        combiner.load("cifar11")


def test_a_folder_hides_no_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    assert combiner.load("cifar10").name == "cifar10.safetensors"
    with pytest.raises(combiner.Error, match="folder|directory"):
        combiner.load("./cifar10")


def test_a_path_is_no_name(tmp_path):
    (tmp_path / "my.safetensors").write_bytes((GOLDEN / "pixel_mixed.safetensors").read_bytes())
    with pytest.raises(combiner.Error, match="my"):
        combiner.load(tmp_path / "my")


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8", "auto"])
def test_sample_is_the_programs(run_program, tmp_path, precision):
    path = GOLDEN / "pixel_rowmajor_all.safetensors"
    run_program("sample", "--model", path, "-n", 5, "--first", 3, "--seed", 7, "--top-k", 50,
                "--precision", precision, "-o", f"{tmp_path}/")
    model = combiner.load(path, precision)
    images = model.sample(5, seed=7, first=3, top_k=50)
    assert images.dtype == np.uint8
    assert np.array_equal(images, combiner.read_images(tmp_path, size=(5, 7)))


def test_complete_is_the_programs(run_program, tmp_path):
    path = GOLDEN / "pixel_rowmajor_all.safetensors"
    model = combiner.load(path, "f32")
    known = model.sample(2, seed=1)
    for i, image in enumerate(known):
        combiner.Picture(image).save(tmp_path / f"{i}.png")
    run_program("complete", "--model", path, tmp_path / "0.png", tmp_path / "1.png", "--keep-rows",
                2, "-n", 3, "--seed", 9, "--precision", "f32", "-o", f"{tmp_path}/out/")
    completed = model.complete(known, 2, 3, seed=9)
    assert completed.shape == (2, 3, 5, 7, 3)
    assert np.array_equal(completed[:, :, :2], np.broadcast_to(known[:, None, :2], (2, 3, 2, 7, 3)))
    expected = combiner.read_images(tmp_path / "out", size=(5, 7))
    assert np.array_equal(completed.reshape(expected.shape), expected)


def test_bits_per_dim_are_the_programs(run_program):
    data = REPOSITORY / "samples/images"
    path = REPOSITORY / "models/cifar10.safetensors"
    shown = json.loads(run_program("eval", "--model", path, "--data", data, "--limit", 2, "--json"))
    model = combiner.load()
    images = combiner.read_images(data, size=(32, 32))[:2]
    assert model.bits_per_dim(images).mean() == pytest.approx(shown["bits_per_dim"], rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_figures_are_the_references(name):
    path, expected = golden(name)
    model = combiner.load(path, "f32")
    images = expected["pixels"]
    logits = model.logits(images)
    assert logits.shape == (*images.shape, 256)
    right = expected["logits"].reshape(logits.shape)
    assert np.linalg.norm(logits - right) < 1e-5 * np.linalg.norm(right)
    nats = expected["nats"].astype(np.float64)
    assert model.bits_map(images) == pytest.approx(nats / np.log(2), abs=1e-4)
    assert model.log_likelihood(images) == pytest.approx(-nats.sum((1, 2, 3)), rel=1e-5)
    assert model.bits_per_dim(images) == pytest.approx(nats.mean((1, 2, 3)) / np.log(2), rel=1e-5)


def test_threads_change_nothing():
    path = GOLDEN / "pixel_mixed.safetensors"
    one, two = (combiner.load(path, "f32", threads=n) for n in (1, 2))
    images = one.sample(9, seed=1)
    assert np.array_equal(images, two.sample(9, seed=1))
    assert np.array_equal(one.bits_per_dim(images), two.bits_per_dim(images))
    assert np.array_equal(one.logits(images), two.logits(images))


def test_no_images(small):
    none = np.zeros((0, 3, 6, 3), np.uint8)
    with pytest.raises(combiner.Error, match="has no images"):
        small.log_likelihood(none)
    assert small.logits(none).shape == (0, 3, 6, 3, 256)


def test_layouts_are_copied_only_where_needed(small):
    images = small.sample(4, seed=1)
    turned = np.ascontiguousarray(images.transpose(2, 1, 0, 3)).transpose(2, 1, 0, 3)
    assert not turned.flags.c_contiguous
    assert np.array_equal(small.bits_per_dim(images), small.bits_per_dim(turned))


def test_errors(small, tmp_path):
    with pytest.raises(combiner.Error, match="none.safetensors"):
        combiner.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights, but some text")
    with pytest.raises(combiner.Error, match="text.safetensors"):
        combiner.load(tmp_path / "text.safetensors")
    with pytest.raises(ValueError, match="precision is 'f64'; expected one of auto, f32"):
        combiner.load(precision="f64")
    with pytest.raises(TypeError, match=r"images is of float64; expected uint8 \[n, 3, 6, 3\]"):
        small.bits_per_dim(np.zeros((1, 3, 6, 3)))
    with pytest.raises(ValueError, match=r"has the shape \[3, 6, 3\]; expected \[n, 3, 6, 3\]"):
        small.bits_per_dim(np.zeros((3, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="n is 0; expected 1 or more"):
        small.sample(0)
    with pytest.raises(combiner.Error, match="temperature"):
        small.sample(1, temperature=-1)
    with pytest.raises(combiner.Error, match="rows to keep: 3; expected 0 to 2"):
        small.complete(small.sample(1, seed=1), 3)


def test_progress_ends_at_one_and_may_raise(shipped):
    parts = []
    shipped.sample(2, seed=1, progress=parts.append)
    assert parts == sorted(parts) and parts[-1] == 1

    def fail(done):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        shipped.sample(1000, seed=1, progress=fail)


@pytest.fixture
def interruptible():
    """What a shell starts in the background begins with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("work", ["sample", "complete", "bits_per_dim", "logits", "compress"])
def test_interrupt(shipped, work):
    images = np.zeros((256, 32, 32, 3), np.uint8)
    sent = []

    def send(done):
        if not sent:
            sent.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        if work == "sample":
            shipped.sample(100_000, seed=1, progress=send)
        elif work == "complete":
            shipped.complete(images, 3, 1000, seed=1, progress=send)
        elif work == "compress":
            combiner.compress(images, shipped, progress=send)
        else:
            getattr(shipped, work)(images, progress=send)
    assert sent[0] < 1
    assert shipped.bits_per_dim(images[:1]).shape == (1,)  # the model can still be used


def test_other_threads_run_meanwhile(shipped):
    turns, ended = [], threading.Event()

    def turn():
        while not ended.wait(0.001):
            turns.append(1)

    thread = threading.Thread(target=turn)
    thread.start()
    before = len(turns)
    shipped.sample(4, seed=1)
    after = len(turns)
    ended.set()
    thread.join()
    assert after - before > 5


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow():
    small = combiner.load(GOLDEN / "pixel_mixed.safetensors", "f32", threads=1)
    images = small.sample(4, seed=1)

    def work():  # five calls
        small.sample(4, seed=1)
        small.complete(images, 1, 2, seed=1)
        small.bits_map(images)
        small.logits(images)
        combiner.decompress(combiner.compress(images, small), small)

    for _ in range(20):
        work()
    before = resident()
    for _ in range(40):
        work()
    assert resident() - before < 4 << 20

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import combiner
from combiner import _model
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
    for rows in (-1, 3, 2**31, 2**64):
        with pytest.raises(combiner.Error, match=f"keep_rows is {rows}; expected 0 to 2"):
            small.complete(small.sample(1, seed=1), rows)


@pytest.mark.parametrize("name, value, error, expected", [
    ("n", 2**63, ValueError, f"expected 1 to {2**63 - 1}"),
    ("n", 1.0, TypeError, "expected a whole number"),
    ("first", 2**63, ValueError, f"expected 0 to {2**63 - 1}"),
    ("first", 2**63 - 1, combiner.Error, f"expected 0 to {2**63 - 2}"),
    ("seed", -1, ValueError, "expected 0 to"),
    ("seed", 2**64, ValueError, "expected 0 to"),
    ("top_k", 0, combiner.Error, "expected 1 to 256"),
    ("top_k", 2**31, combiner.Error, "expected 1 to 256"),
    ("top_k", 50.0, TypeError, "expected a whole number"),
    ("temperature", None, TypeError, "expected a number"),
    ("temperature", "1", TypeError, "expected a number"),
    ("temperature", 10**400, combiner.Error, "expected 0 or a finite number"),
    ("top_p", [0.5], TypeError, "expected a number"),
    ("top_p", -(10**400), combiner.Error, "expected above 0"),
])
def test_numbers_out_of_range(small, name, value, error, expected):
    called = "the first image's index" if (name, error) == ("first", combiner.Error) else name
    with pytest.raises(error) as raised:
        small.sample(**{name: value})
    assert str(raised.value).startswith(f"{called} is ") and expected in str(raised.value)


def test_numbers_of_any_kind(small):
    plain = small.sample(2, seed=1, temperature=1, top_k=50, top_p=0.5)
    assert np.array_equal(plain, small.sample(np.int8(2), seed=np.uint64(1), top_k=np.int64(50),
                                              temperature=np.float32(1), top_p=np.float64(0.5)))


def test_the_checksum_is_of_what_was_loaded(tmp_path, monkeypatch):
    path, other = tmp_path / "model.safetensors", GOLDEN / "pixel_rowmajor_all.safetensors"
    path.write_bytes((GOLDEN / "pixel_mixed.safetensors").read_bytes())
    load = _model._combiner.Model
    replaced = []

    def load_and_replace(*arguments):
        model = load(*arguments)
        if not replaced:
            replaced.append((tmp_path / "new").write_bytes(other.read_bytes()))
            (tmp_path / "new").replace(path)
        return model

    monkeypatch.setattr(_model._combiner, "Model", load_and_replace)
    model = combiner.load(path, "f32")
    assert (model.height, model.width) == (5, 7)
    assert model.sha256 == hashlib.sha256(other.read_bytes()).hexdigest()


@pytest.mark.parametrize("work", [
    "model.sample(100_000, seed=1)",
    "model.sample(100_000, seed=1, progress=lambda part: sum(range(10_000)))",
    "model.bits_per_dim(numpy.zeros((1000, 32, 32, 3), numpy.uint8))",
    "combiner.load('cifar10', 'f32', 1), model.sample(100_000)",
    "session.done or session.step(lambda *_: sum(range(10_000)) % 256)",
])
def test_python_ends_while_another_thread_computes(work):
    program = f"""
import threading, time
import numpy
import combiner
model = combiner.load("cifar10", "f32", threads=1)
session = combiner.Session(model, 2)
began = threading.Event()
def work():
    began.set()
    while True:
        {work}
threading.Thread(target=work, daemon=True).start()
began.wait()
time.sleep(0.2)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


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


def test_the_library_hides_its_symbols():
    extension = ctypes.CDLL(_model._combiner.__file__)
    assert hasattr(extension, "PyInit__combiner")
    # What would get in the way of another copy of the library: combiner::ThreadTeam::stop(), and a
    # function of the standard library's that it has compiled.
    assert not hasattr(extension, "_ZN8combiner10ThreadTeam4stopEv")
    name = "_ZNSt12_Destroy_auxILb0EE9__destroyIPN8combiner12CodedPictureEEEvT_S5_"
    assert not hasattr(extension, name)


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

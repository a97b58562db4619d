import numpy as np
import pytest

import combiner
from conftest import MODELS, golden


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_whole_images(name):
    path, expected = golden(name)
    model, images = combiner.load(path, "f32"), expected["pixels"]
    session = combiner.Session(model, len(images))
    logits = np.empty((len(images), images[0].size, 256), np.float32)

    def choose(image, subpixel, given):
        logits[image, subpixel] = given
        return images[image].flat[subpixel]

    while not session.done:
        session.step(choose)
    assert np.array_equal(session.images, images)
    right = model.logits(images).reshape(logits.shape)
    assert np.linalg.norm(logits - right) < 1e-5 * np.linalg.norm(right)


def likeliest(image, subpixel, logits):
    return logits.argmax()


def finish(session, choose=likeliest):
    while not session.done:
        session.step(choose)
    return session.images


def test_likeliest_values_are_those_of_temperature_0(small):
    assert np.array_equal(finish(combiner.Session(small, 2)), small.sample(2, temperature=0))


def test_prefill_and_select(small):
    known = small.sample(3, seed=5)
    session = combiner.Session(small, 3)
    session.prefill(known, 2)
    assert session.position == 12
    assert np.array_equal(session.images[:, :2], known[:, :2])
    assert not session.images[:, 2:].any()
    session.select([2, 2, 0])
    expected = small.complete(known[[2, 2, 0]], 2, temperature=0)[:, 0]
    assert np.array_equal(finish(session), expected)


def test_errors(small):
    session = combiner.Session(small, 2)
    with pytest.raises(ValueError, match="choose returned 256; expected"):
        session.step(lambda *_: 256)
    with pytest.raises(TypeError):
        session.step(lambda *_: "red")
    with pytest.raises(ZeroDivisionError):
        session.step(lambda *_: 1 // 0)
    with pytest.raises(RuntimeError, match="in use"):
        session.step(lambda *_: session.images)
    assert session.position == 0
    # Nothing is left of steps that failed.
    assert np.array_equal(finish(session), small.sample(2, temperature=0))
    with pytest.raises(ValueError, match="done"):
        session.step(likeliest)
    with pytest.raises(ValueError, match="index 1 is 2; expected 0 to 1"):
        session.select([0, 2])
    with pytest.raises(ValueError, match=f"index 0 is {2**63}; expected 0 to 1"):
        session.select([2**63, 0])
    with pytest.raises(TypeError, match="index 0 is 0.9; expected a whole number"):
        session.select([0.9, 1.9])
    with pytest.raises(ValueError, match="1 indices; expected 2"):
        session.select([0])
    with pytest.raises(ValueError, match="n is 0"):
        combiner.Session(small, 0)
    with pytest.raises(ValueError, match=f"n is {2**63}"):
        combiner.Session(small, 2**63)
    known = small.sample(2, seed=1)
    with pytest.raises(ValueError, match="rows is 4; expected 0 to 3"):
        session.prefill(known, 4)
    with pytest.raises(TypeError, match="rows is 1.5; expected a whole number"):
        session.prefill(known, 1.5)

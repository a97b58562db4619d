"""What combiner.torch trains with, as far as it needs no PyTorch."""

import numpy as np
import pytest

import combiner
import png_numpy
from combiner import _combiner


def test_log(tmp_path):
    path = tmp_path / "a.csv"
    log = _combiner.TrainingLog(path, 0)
    assert not path.exists()
    log.begin()
    assert not _combiner.has_rows_after(path, 0)
    log.write(1, 4, 0.5, 7.5, None, 1e-3, 2.0, 8.0)
    log.write(2, 8, 1.0, 7.0, 6.5, 1e-3, 2.0, 8.0)
    rows = path.read_text().splitlines()
    assert rows[1:] == ["1,4,0.500,7.5,,0.001,2,8", "2,8,1.000,7,6.50000,0.001,2,8"]
    assert _combiner.has_rows_after(path, 1)
    assert not _combiner.has_rows_after(path, 2)
    _combiner.TrainingLog(path, 1).begin()
    assert path.read_text().splitlines() == rows[:2]


def test_weights_there(tmp_path):
    there = _combiner.WeightsThere
    weights = tmp_path / "a.safetensors"
    assert _combiner.weights_at(weights) == there.no
    weights.write_text("")
    assert _combiner.weights_at(weights) == there.no
    weights.write_text("a letter")
    with pytest.raises(combiner.Error, match="would be overwritten"):
        _combiner.weights_at(weights)
    config = {"config": '{"format": "combiner-1"}'}
    for other in ({"config": "{}"}, {**config, "format": "combiner-checkpoint-1"}):
        _combiner.write_checkpoint(weights, other, {})
        with pytest.raises(combiner.Error, match="is not a model's weights"):
            _combiner.weights_at(weights)
    _combiner.write_checkpoint(weights, config, {})
    assert _combiner.weights_at(weights) == there.yes
    with weights.open("ab") as file:
        file.write(b"more")
    assert _combiner.weights_at(weights) == there.damaged


def test_lock(tmp_path):
    path = tmp_path / "a.checkpoint"
    path.write_text("one")
    lock = _combiner.FileLock()
    lock.take(path)
    with pytest.raises(combiner.Error, match="is being written by another run"):
        _combiner.FileLock().take(path)
    lock.require_same(path)
    (tmp_path / "other").write_text("another")
    (tmp_path / "other").replace(path)
    with pytest.raises(combiner.Error, match="has replaced it"):
        lock.require_same(path)


def test_data_is_given_once(tmp_path):
    for folder in ("all", "all/part", "beside"):
        (tmp_path / folder).mkdir()
        png_numpy.write(tmp_path / folder / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(combiner.Error, match="its images are also among those of"):
        _combiner.require_apart([tmp_path / "all", tmp_path / "all/part"], 4, 4, True)
    _combiner.require_apart([tmp_path / "all", tmp_path / "beside"], 4, 4, True)


def test_temporary_folder(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", data=np.zeros((2, 48), np.uint8))
    assert combiner.read_images(tmp_path / "a.npz").shape == (2, 4, 4, 3)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(combiner.Error, match="nowhere"):
        combiner.read_images(tmp_path / "a.npz")

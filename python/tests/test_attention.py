import numpy as np
import pytest

import combiner
from conftest import REPOSITORY

FILES = sorted((REPOSITORY / "tests/data/attention").glob("*.safetensors"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_outputs_are_the_references(path):
    import safetensors_numpy

    tensors, metadata = safetensors_numpy.read(path)
    summary = {name: tensors[name] for name in tensors if name.startswith("summary")} or None
    layer = combiner.attention(metadata["attention"], int(metadata["rows"]),
                               int(metadata["columns"]), tensors["query"].shape[1],
                               int(metadata["num_heads"]), summary=summary,
                               bidirectional=path.stem.startswith("bidirectional"),
                               norm_epsilon=float(metadata["norm_epsilon"]))
    out = layer(tensors["query"], tensors["key"], tensors["value"], tensors.get("input"))
    error = np.linalg.norm(out - tensors["output"]) / np.linalg.norm(tensors["output"])
    assert out.dtype == np.float32 and error < 1e-5


def test_a_layer_keeps_its_weights():
    random = np.random.default_rng(1)
    shapes = {"summary_output.weight": (8, 8), "summary_key.weight": (8, 8),
              "summary_norm.weight": (8,), "summary_norm.bias": (8,)}
    summary = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    layer = combiner.attention("axial_rowmajor", 3, 4, 8, 2, summary=summary)
    x = random.normal(size=(12, 8)).astype(np.float32)
    before = layer(x, x, x, x)
    for weights in summary.values():
        weights[:] = 0
    assert np.array_equal(layer(x, x, x, x), before)


def test_errors():
    with pytest.raises(ValueError, match="variant is 'diagonal'; expected one of axial_rowmajor"):
        combiner.attention("diagonal", 2, 2, 8, 2)
    with pytest.raises(combiner.Error, match="expected a multiple of the heads"):
        combiner.attention("full", 2, 2, 8, 3)
    for rows in (0, 2**31):
        with pytest.raises(combiner.Error, match=f"rows is {rows}; expected 1 to"):
            combiner.attention("full", rows, 2, 8, 2)
    with pytest.raises(TypeError, match="dim is 8.0; expected a whole number"):
        combiner.attention("full", 2, 2, 8.0, 2)
    with pytest.raises(TypeError, match="norm_epsilon is None; expected a number"):
        combiner.attention("full", 2, 2, 8, 2, norm_epsilon=None)
    with pytest.raises(combiner.Error, match="only looks at what is before"):
        combiner.attention("logsparse", 2, 2, 8, 2, bidirectional=True)
    with pytest.raises(combiner.Error):
        combiner.attention("axial_rowmajor", 2, 2, 8, 2)
    with pytest.raises(ValueError, match="summary has x; expected summary_output.weight"):
        combiner.attention("axial_rowmajor", 2, 2, 8, 2, summary={"x": 1})
    layer = combiner.attention("full", 2, 2, 8, 2)
    x = np.zeros((4, 8), np.float32)
    with pytest.raises(TypeError, match=r"key is of float64; expected float32 \[4, 8\]"):
        layer(x, x.astype(np.float64), x)
    with pytest.raises(ValueError, match=r"value has the shape \[8, 4\]; expected \[4, 8\]"):
        layer(x, x, x.reshape(8, 4))

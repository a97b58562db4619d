#!/usr/bin/env python3
"""Tests tools/import_flax.py on a checkpoint saved by the real Flax and on others made here."""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

try:
    import msgpack
    import numpy as np
except ModuleNotFoundError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(PROJECT, "tools"))

import import_flax  # noqa: E402
import reference  # noqa: E402
import safetensors_numpy  # noqa: E402

FLAX = os.path.join(PROJECT, "tests", "data", "flax")
CHECKPOINT = os.path.join(FLAX, "axial_rowmajor.msgpack")
spec = importlib.util.spec_from_file_location("make", os.path.join(FLAX, "make.py"))
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)

LAYER = "AutoregTransformer_0/transformer_layer_1"
CONFIG = {
    "format": "combiner-1", "image": {"height": 3, "width": 2, "channels": 3}, "tokens": "subpixel",
    "embed_dim": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "attention": "axial_rowmajor",
    "activation": "relu", "position": "sinusoidal", "context": [], "stem": None,
    "norm_epsilon": 1e-6, "start_token": 0,
}


# ---- Parameters and files -----------------------------------------------------------------------


def flatten(tree, path=""):
    if not isinstance(tree, dict):
        return {path: tree}
    return {name: leaf for key, child in tree.items()
            for name, leaf in flatten(child, f"{path}/{key}" if path else key).items()}


def nest(leaves):
    tree = {}
    for path, leaf in leaves.items():
        *nodes, last = path.split("/")
        node = tree
        for key in nodes:
            node = node.setdefault(key, {})
        node[last] = leaf
    return tree


def parameters(**changed):
    """The parameters of the checkpoint by path; `changed` replaces some, and None removes them."""
    leaves = flatten(made.parameters()) | changed
    return {name: leaf for name, leaf in leaves.items() if leaf is not None}


def without_summaries(layer):
    """The same model with the attention of another of the authors' layers."""
    theirs = {}
    for name, leaf in parameters().items():
        if "SelfAtt" in name:
            name = name.replace("_SelfAttAxialRowmajor_0", layer)
            if "DenseGeneral_0" in name or "DenseGeneral_1" in name or "LayerNorm" in name:
                continue
            name = name.replace("DenseGeneral_2", "DenseGeneral_0")
        theirs[name] = leaf
    return theirs


def packed(tree, dtype=None):
    """A tree as Flax writes it; `dtype` names the arrays' type if they are given as its bits."""
    def pack(leaf):
        if isinstance(leaf, complex):
            return msgpack.ExtType(2, msgpack.packb((leaf.real, leaf.imag)))
        array = np.asarray(leaf)
        content = msgpack.packb((array.shape, dtype or array.dtype.name, array.tobytes()))
        return msgpack.ExtType(1 if isinstance(leaf, np.ndarray) else 3, content)

    return msgpack.packb(tree, default=pack)


def expected_weights():
    """The weights under our names and in our shapes, written out independently."""
    p = flatten(made.parameters())
    weights = {"embed.token.weight": p["Embed_0/embedding"]}

    def norm(ours, theirs):
        weights[f"{ours}.weight"] = p[f"{theirs}/scale"]
        weights[f"{ours}.bias"] = p[f"{theirs}/bias"]

    def dense(ours, theirs):
        kernel = p[f"{theirs}/kernel"]
        weights[f"{ours}.weight"] = np.einsum("io->oi", kernel)
        weights[f"{ours}.bias"] = p[f"{theirs}/bias"]

    norm("norm", "AutoregTransformer_0/LayerNorm_0")
    dense("head", "AutoregTransformer_0/Dense_0")
    for n in range(2):
        ours, theirs = f"blocks.{n}", f"AutoregTransformer_0/transformer_layer_{n}"
        norm(f"{ours}.norm1", f"{theirs}/LayerNorm_0")
        norm(f"{ours}.norm2", f"{theirs}/LayerNorm_1")
        dense(f"{ours}.mlp.up", f"{theirs}/MlpBlock_0/Dense_0")
        dense(f"{ours}.mlp.down", f"{theirs}/MlpBlock_0/Dense_1")
        ours, theirs = f"{ours}.attention", f"{theirs}/_SelfAttAxialRowmajor_0"
        norm(f"{ours}.summary_norm", f"{theirs}/LayerNorm_0")
        for name, source in (("query", "query"), ("key", "key"), ("value", "value"),
                             ("summary_key", "DenseGeneral_1")):  # [in, heads, head_dim]
            kernel = np.einsum("ihe->hei", p[f"{theirs}/{source}/kernel"])
            weights[f"{ours}.{name}.weight"] = kernel.reshape(8, 8)
        for name, source in (("summary_output", "DenseGeneral_0"),
                             ("output", "DenseGeneral_2")):  # [heads, head_dim, out]
            kernel = np.einsum("heo->ohe", p[f"{theirs}/{source}/kernel"])
            weights[f"{ours}.{name}.weight"] = kernel.reshape(8, 8)
    return weights


# ---- Tests --------------------------------------------------------------------------------------


class ImportFlaxTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.output = os.path.join(self.folder, "model.safetensors")

    def file(self, content):
        path = os.path.join(self.folder, "checkpoint")
        with open(path, "wb") as file:
            file.write(content)
        return path

    def npz(self, leaves):
        path = os.path.join(self.folder, "checkpoint.npz")
        np.savez(path, **leaves)
        return path

    def run_program(self, *arguments):
        """(exit code, standard output, standard error); other exceptions fail the test."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (unittest.mock.patch("sys.argv", ["import_flax.py", *arguments]),
              contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
            try:
                import_flax.main()
            except SystemExit as end:  # with a code, or a message for code 1
                code = end.code if isinstance(end.code, int) else 1
                err.write("" if isinstance(end.code, int) else end.code)
        return code, out.getvalue(), err.getvalue()

    def imported(self, checkpoint, *options):
        """(config, tensors) of the written model."""
        code, out, err = self.run_program(checkpoint, "--image", "3x2", "-o", self.output, *options)
        self.assertEqual((code, err), (0, ""))
        self.assertIn(self.output, out)
        config, _ = reference.load_model(self.output)  # checks names and shapes
        return config, safetensors_numpy.read(self.output)[0]

    def assert_is_the_model(self, tensors):
        expected = expected_weights()
        self.assertEqual(tensors.keys(), expected.keys())
        for name, weight in expected.items():
            self.assertEqual(tensors[name].dtype, np.float32)
            np.testing.assert_array_equal(tensors[name], weight, err_msg=name)

    def assert_refused(self, checkpoint, *said, options=(), code=1):
        actual, _, err = self.run_program(checkpoint, "--image", "3x2", "-o", self.output, *options)
        self.assertEqual(actual, code, err)
        for text in said:
            self.assertIn(text, err)
        self.assertEqual([name for name in os.listdir(self.folder) if "model" in name], [])

    def test_a_checkpoint_of_the_real_flax(self):
        config, tensors = self.imported(CHECKPOINT)
        self.assertEqual(config, CONFIG)
        self.assert_is_the_model(tensors)

    def test_the_program_by_itself(self):
        program = os.path.join(PROJECT, "tools", "import_flax.py")
        for checkpoint, code in ((CHECKPOINT, 0), (self.file(b""), 1)):
            arguments = [sys.executable, program, checkpoint, "--image", "3x2", "-o", self.output]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code)
            self.assertNotIn("Traceback", done.stderr)

    def test_options_reach_the_config(self):
        table = np.ones((257, 8), np.float32)
        path = self.npz(parameters(**{"Embed_0/embedding": table}))
        config, tensors = self.imported(path, "--activation", "gelu", "--norm-epsilon", "1e-3",
                                        "--start-token", "256", "--channels", "1")
        self.assertEqual(config, CONFIG | {"activation": "gelu", "norm_epsilon": 1e-3,
                                           "start_token": 256,
                                           "image": {"height": 3, "width": 2, "channels": 1}})
        np.testing.assert_array_equal(tensors["embed.token.weight"], table)

    def test_the_parameters_wherever_they_are(self):
        p = made.parameters()
        moments = nest({f"{name}/grad_ema": np.zeros_like(leaf)
                        for name, leaf in flatten(p).items()})
        old = {"state": {"step": np.int32(1), "param_states": moments}}
        for tree in (p, {"params": p}, {"params": {"params": p}}, {"target": p},
                     {"step": 7, "params": p, "opt_state": {"0": {"mu": p, "nu": None}}},
                     {"optimizer": old | {"target": p}, "step": np.int64(3)},
                     {"optimizer": old | {"target": {"params": p}}, "phase": 1 + 2j}):
            with self.subTest(at=list(tree)):
                self.assert_is_the_model(self.imported(self.file(packed(tree)))[1])
        for place in ("", "params/", "optimizer/target/"):
            with self.subTest(npz=place):
                leaves = {place + name: leaf for name, leaf in parameters().items()}
                self.assert_is_the_model(self.imported(self.npz(leaves))[1])

    def test_other_floats(self):
        name, ours = f"{LAYER}/LayerNorm_0/bias", "blocks.1.norm1.bias"
        values = np.array([0.5, -1.5, 2, 3, -4, 5, 6, 7.25], np.float32)  # exact in all types
        for dtype in (np.float16, np.float64):
            path = self.npz(parameters(**{name: values.astype(dtype)}))
            np.testing.assert_array_equal(self.imported(path)[1][ours], values)
        bits = {key: (leaf.view(np.uint32) >> 16).astype(np.uint16)
                for key, leaf in parameters(**{name: values}).items()}
        tensors = self.imported(self.file(packed(nest(bits), "bfloat16")))[1]
        np.testing.assert_array_equal(tensors[ours], values)

    def test_variants(self):
        for layer, variant, option in (
                ("_SelfAttSqrtn_0", "fixed", ()), ("_SelfAttLogn_0", "logsparse", ()),
                ("_AxialMixtureAtt_0", "axial_mixture", ()),
                ("_AxialMixtureAtt_0", "axial_vertical", ("--attention", "axial_vertical"))):
            config, tensors = self.imported(self.npz(without_summaries(layer)), *option)
            self.assertEqual(config, CONFIG | {"attention": variant})
            for name, weight in expected_weights().items():
                if "summary" not in name:
                    np.testing.assert_array_equal(tensors[name], weight, err_msg=name)

    def test_a_variant_that_the_parameters_are_not_of(self):
        self.assert_refused(self.npz(without_summaries("_SelfAttLogn_0")),
                            "_SelfAttLogn_0, which is logsparse, not fixed",
                            options=("--attention", "fixed"))

    def test_a_parameter_that_is_wrong_is_named(self):
        kernel = f"{LAYER}/_SelfAttAxialRowmajor_0/DenseGeneral_1/kernel"
        ones = np.ones((8, 4, 2), np.float32)
        extra = "AutoregTransformer_0/pos_embed"
        query = "AutoregTransformer_0/transformer_layer_0/_SelfAttAxialRowmajor_0/query/kernel"
        for name, value, said in (
                (kernel, ones, "has shape (8, 4, 2), expected (8, 2, 4)"),
                (kernel, None, "is missing"),
                (kernel, np.ones((8, 2, 4), np.int32), "int32"),
                (kernel, np.full((8, 2, 4), 1e300), "1e+300"),
                (kernel, np.full((8, 2, 4), np.nan), "nan"),
                (extra, np.ones(3), "is unknown"),
                ("AutoregTransformer_0/transformer_layer_3/LayerNorm_0/bias", np.ones(8),
                 "is unknown"),
                ("Embed_0/embedding", None, "is missing"),
                ("Embed_0/embedding", np.ones(8), "has shape (8,), expected [tokens, embed_dim]"),
                ("Embed_0/embedding", np.ones((17, 8)), "(17, 8), expected (256, 8)"),
                ("Embed_0/embedding", np.ones((256, 0)), "(256, 0)"),
                (query, np.ones((8, 3, 2)), "3 heads of 2"),
                ("AutoregTransformer_0/Dense_0/bias", np.ones(17), "(17,), expected (256,)")):
            with self.subTest(name=name, said=said):
                self.assert_refused(self.npz(parameters(**{name: value})), name, said)
        self.assert_refused(self.file(packed(nest(parameters(**{extra: "text"})))), extra, "str")
        self.assert_refused(CHECKPOINT, "Embed_0/embedding", "(256, 8), expected (257, 8)",
                            options=("--start-token", "256"))

    def test_no_parameters(self):
        self.assert_refused(self.file(packed({"params": {"Dense_0": np.ones(3)}, "step": 1})),
                            "no parameters Embed_0/embedding", "at the top are params, step")
        self.assert_refused(self.npz({"other": np.ones(3)}), "at the top are other")
        no_attention = {k: v for k, v in parameters().items() if "SelfAtt" not in k}
        self.assert_refused(self.npz(no_attention), "transformer_layer_0 has none of",
                            "_SelfAttSqrtn_0")

    def test_damaged_files(self):
        with open(CHECKPOINT, "rb") as file:
            content = file.read()
        for length in (1, 2, 20, 1000, len(content) // 2, len(content) - 1):
            with self.subTest(length=length):
                self.assert_refused(self.file(content[:length]),
                                    "checkpoint: not a Flax checkpoint")
        self.assert_refused(self.file(b""), "checkpoint: the file is empty")
        self.assert_refused(self.file(b"no checkpoint, just text\n"), "not a Flax checkpoint")
        self.assert_refused(self.file(content + b"more"), "not a Flax checkpoint")
        self.assert_refused(self.file(b"\x81\xa1a" * 600 + b"\x00"), "no parameters")
        with open(self.npz(parameters()), "rb") as file:
            content = file.read()
        for length in (10, len(content) // 2, len(content) - 1):
            self.assert_refused(self.file(content[:length]), "damaged npz")

    def test_arrays_that_lie_about_themselves(self):
        def array(*fields):
            return msgpack.ExtType(1, msgpack.packb(fields))

        data = bytes(32)
        for leaf, said in ((array([9], "float32", data), "float32 (9,) has 32 bytes"),
                           (array([-8], "float32", data), "has 32 bytes"),
                           (array([8], "object", data), "object"),
                           (array([8], "float31", data), "float31"),
                           (array([8], 7, data), "not a Flax checkpoint"),
                           (array([0, 1 << 62, 1 << 62], "float32", b""), "not a Flax checkpoint"),
                           (array([8], "float32"), "not a Flax checkpoint"),
                           (msgpack.ExtType(9, b""), "extension type 9"),
                           ({"__msgpack_chunked_array__": True, "shape": {"0": 8}, "chunks": {}},
                            "not a Flax checkpoint"),
                           ({"__msgpack_chunked_array__": True}, "not a Flax checkpoint")):
            with self.subTest(said=said):
                content = msgpack.packb({"Embed_0": {"embedding": leaf}})
                self.assert_refused(self.file(content), said)

    def test_files_that_cannot_be_read_or_written(self):
        self.assert_refused(os.path.join(self.folder, "absent"), "absent")
        self.assert_refused(self.folder, "directory")
        nowhere = os.path.join(self.folder, "absent", "m.safetensors")
        code, _, err = self.run_program(CHECKPOINT, "--image", "3x2", "-o", nowhere)
        self.assertEqual(code, 1)
        self.assertIn(nowhere, err)

    def test_usage_errors(self):
        for options in (("--image", "32"), ("--image", "0x4"), ("--image", "3x1025"),
                        ("--attention", "other"), ("--activation", "tanh"), ("--channels", "5"),
                        ("--norm-epsilon", "0"), ("--norm-epsilon", "nan"), ("--start-token", "-1"),
                        ("--start-token", "257"), ("--unknown",)):
            with self.subTest(options=options):
                self.assert_refused(CHECKPOINT, "usage:", options[0], options=options, code=2)
        for arguments in ((), (CHECKPOINT, "-o", self.output), (CHECKPOINT, "--image", "3x2")):
            self.assertEqual(self.run_program(*arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()

"""A model that is small enough for tests."""


def tiny_config(height, width, **changes):
    """The config of a model of images of this size; `changes` replace fields."""
    config = {
        "format": "combiner-1", "image": {"height": height, "width": width, "channels": 3},
        "tokens": "pixel", "embed_dim": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12,
        "attention": "axial_rowmajor", "activation": "gelu", "position": "axial",
        "context": ["previous", "above"], "stem": {"rows": 2, "columns": 3}, "norm_epsilon": 1e-6,
        "start_token": None,
    }  # fmt: skip
    return {**config, **changes}

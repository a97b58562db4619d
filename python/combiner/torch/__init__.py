"""The model in PyTorch, to train it where there is a GPU or to build on it. Needs torch.

    import combiner.torch
    model = combiner.torch.load_model("my.safetensors")
    model(images)        # logits [n, height, width, 3, 256]
    combiner.torch.save_model(model, "new.safetensors")

CombinerAttention is the attention layer on its own, for anything that is laid out on a grid.
`python -m combiner.torch.train --help` trains a model.
"""

from .attention import BIDIRECTIONAL, ROTARY, VARIANTS, CombinerAttention, attend
from .model import Model
from .weights import load_model, new_model, read_config, save_model

__all__ = ["BIDIRECTIONAL", "ROTARY", "VARIANTS", "CombinerAttention", "Model", "attend",
           "load_model", "new_model", "read_config", "save_model"]

"""Likelihood models of images with Combiner-Axial attention, on CPUs.

    import combiner
    model = combiner.load("cifar10")
    images = model.sample(16, seed=1)          # uint8 [16, 32, 32, 3]
    combiner.sheet(images)                     # a notebook shows it
    print(model.bits_per_dim(images).mean())

Images are NumPy arrays of bytes [n, height, width, 3]: red, green, blue. The library's own errors
are combiner.Error; an argument of the wrong type is a TypeError, an array of the wrong shape a
ValueError.
Everything long can be ended by Ctrl-C and releases Python's lock (GIL) while it computes. Functions
that take `progress` call it now and then, on the thread that called them, with the part that is
done, from 0 to 1.

combiner.torch is the model in PyTorch, to train it. It needs torch, and is imported only if asked
for.
"""

from ._attention import ATTENTION_VARIANTS, Attention, attention
from ._codec import compress, decompress
from ._combiner import Error, __version__
from ._images import Picture, read_images, sheet, surprise
from ._model import Model, load
from ._session import Session

__all__ = ["ATTENTION_VARIANTS", "Attention", "Error", "Model", "Picture", "Session", "__version__",
           "attention", "compress", "decompress", "load", "read_images", "sheet", "surprise"]

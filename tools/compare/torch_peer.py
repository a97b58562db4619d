"""PyTorch on the CPU, eager and with torch.compile."""

import os

import numpy as np
import torch
from torch.utils import _pytree as pytree

import torch_model as model
from parameters import Shape
from peer import Peer

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
LEARNING_RATE = 1e-4


def cast(params, precision):
    return pytree.tree_map(lambda x: x.to(TYPES[precision]), params)


def loss_of(params, images, shape, precision):
    return model.nats(images, cast(params, precision), shape).mean()


class TorchPeer(Peer):
    name, version, modes = "PyTorch", torch.__version__.split("+")[0], ["eager", "compile"]

    def __init__(self, path):
        super().__init__(path)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        shape = Shape.of(self.config)
        self.shape = shape._replace(
            rotary=shape.rotary and [torch.from_numpy(table) for table in shape.rotary])
        tree = pytree.tree_map(lambda x: torch.from_numpy(np.ascontiguousarray(x)), self.weights)
        self.params = {precision: cast(tree, precision) for precision in TYPES}
        self.trainings = {}
        functions = (model.nats, model.decode_pixel, loss_of)
        # Each batch and precision is compiled separately, so the limit on recompilation must be
        # high.
        torch._dynamo.config.recompile_limit = 64
        self.functions = {
            "eager": functions,
            "compile": [torch.compile(f, dynamic=False, fullgraph=True) for f in functions],
        }

    @torch.inference_mode()
    def nats(self, images, way):
        nats, _, _ = self.functions[way.mode]
        images = torch.from_numpy(images.astype(np.int64))
        return nats(images, self.params[way.precision], self.shape).numpy()

    @torch.inference_mode()
    def decode(self, uniforms, given, num_rows, way):
        _, decode_pixel, _ = self.functions[way.mode]
        if given is not None:
            given = torch.from_numpy(given.transpose(1, 2, 0, 3).astype(np.int64))
        drawn, nats = model.decode(torch.from_numpy(uniforms), given, num_rows,
                                   self.params[way.precision], self.shape, decode_pixel)
        return drawn.to(torch.uint8).numpy(), nats.numpy()

    @torch.inference_mode()
    def redraw(self, images, positions, uniforms, way):
        images = torch.from_numpy(images.astype(np.int64))
        for p, u in zip(positions, torch.from_numpy(uniforms)):
            model.redraw_pixel(images, p, u, self.params[way.precision], self.shape)
        return images.to(torch.uint8).numpy()

    def train_step(self, images, way):
        if way not in self.trainings:
            params = pytree.tree_map(lambda x: x.clone().requires_grad_(), self.params["f32"])
            self.trainings[way] = params, torch.optim.AdamW(pytree.tree_leaves(params),
                                                            LEARNING_RATE, fused=True)
        params, optimizer = self.trainings[way]
        loss = self.functions[way.mode][2](params, torch.from_numpy(images.astype(np.int64)),
                                           self.shape, way.precision)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()


make = TorchPeer

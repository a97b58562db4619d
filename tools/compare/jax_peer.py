"""JAX on the CPU, with every function jitted."""

import functools
import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import jax_model as model  # noqa: E402
from parameters import Shape  # noqa: E402
from peer import Peer  # noqa: E402

TYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}
LEARNING_RATE, BETA1, BETA2, EPSILON, WEIGHT_DECAY = 1e-4, 0.9, 0.999, 1e-8, 0.01


def cast(params, precision):
    return jax.tree.map(lambda x: x.astype(TYPES[precision]), params)


def adamw_step(params, moments, step, images, shape, precision):
    """(params, moments, loss) after a step; the moments are two trees."""
    def loss_of(params):
        return model.nats(images, cast(params, precision), shape).mean()

    loss, gradient = jax.value_and_grad(loss_of)(params)
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments[1], gradient)

    def update(w, m, v):
        change = m / (1 - BETA1**step) / (jnp.sqrt(v / (1 - BETA2**step)) + EPSILON)
        return w - LEARNING_RATE * (change + WEIGHT_DECAY * w)

    return jax.tree.map(update, params, first, second), (first, second), loss


class JaxPeer(Peer):
    name, version, modes = "JAX", jax.__version__, ["jit"]

    def __init__(self, path):
        super().__init__(path)
        shape = Shape.of(self.config)
        self.params = {precision: cast(jax.tree.map(jnp.asarray, self.weights), precision)
                       for precision in TYPES}
        self.trainings = {}
        self.jit_nats = jax.jit(functools.partial(model.nats, shape=shape))
        self.jit_decode = jax.jit(functools.partial(model.decode, shape=shape))
        self.jit_redraw = jax.jit(functools.partial(model.redraw_pixel, shape=shape))
        self.jit_step = jax.jit(functools.partial(adamw_step, shape=shape), donate_argnums=(0, 1),
                                static_argnames="precision")

    def nats(self, images, way):
        return np.asarray(self.jit_nats(images.astype(np.int32), self.params[way.precision]))

    def decode(self, uniforms, given, num_rows, way):
        is_given = given is not None
        images = given.transpose(1, 2, 0, 3) if is_given else np.zeros(uniforms.shape)
        drawn, nats = self.jit_decode(uniforms, images.astype(np.int32), is_given, num_rows,
                                      self.params[way.precision])
        return np.asarray(drawn).astype(np.uint8), np.asarray(nats)

    def redraw(self, images, positions, uniforms, way):
        images = jnp.asarray(images.astype(np.int32))
        for p, u in zip(positions, uniforms):
            images = self.jit_redraw(images, p, u, self.params[way.precision])
        return np.asarray(images).astype(np.uint8)

    def train_step(self, images, way):
        if way not in self.trainings:
            zeros = [jax.tree.map(jnp.zeros_like, self.params["f32"]) for _ in range(2)]
            self.trainings[way] = (jax.tree.map(jnp.copy, self.params["f32"]), tuple(zeros), 0)
        params, moments, steps = self.trainings[way]
        params, moments, loss = self.jit_step(params, moments, float(steps + 1),
                                              images.astype(np.int32), precision=way.precision)
        self.trainings[way] = (params, moments, steps + 1)
        jax.block_until_ready(params)
        return float(loss)


make = JaxPeer

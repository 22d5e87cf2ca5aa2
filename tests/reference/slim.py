"""TF-slim's way to write a network, in plain TensorFlow operations: the reference for checkpoints of its authors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# A step of a branch is a pool, or a convolution: name, outputs, kernel and, where not 1 and "SAME", stride and padding.
Step = tuple[Any, ...]
MEAN_POOL: Step = ("mean",)
MAX_POOL: Step = ("max",)


class Slim:
    """Makes each variable when it is met: what it has made is a checkpoint's content.

    What it computes is what our networks must say with that checkpoint.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.variables: dict[str, np.ndarray] = {}
        self._random = np.random.default_rng(7)

    def _variable(self, name: str, values: Callable[[], np.ndarray]) -> np.ndarray:
        assert name not in self.variables
        self.variables[name] = values().astype(np.float32)
        return self.variables[name]

    def conv(
        self, x: Any, name: str, outputs: int, kernel: tuple[int, int], stride: int = 1, padding: str = "SAME"
    ) -> Any:
        """Convolution without bias, batch normalisation without scale, ReLU."""
        name = f"{self.scope}/{name}"
        shape = (*kernel, int(x.shape[-1]), outputs)
        scale = np.sqrt(2 / np.prod(shape[:3]))
        weights = self._variable(f"{name}/weights", lambda: self._random.normal(0, scale, shape))
        beta, mean = (
            self._variable(f"{name}/BatchNorm/{part}", lambda: self._random.normal(0, 0.1, outputs))
            for part in ("beta", "moving_mean")
        )
        variance = self._variable(f"{name}/BatchNorm/moving_variance", lambda: self._random.uniform(0.5, 1.5, outputs))
        x = tf.nn.conv2d(x, weights, stride, padding)
        return tf.nn.relu((x - mean) / np.sqrt(variance + 1e-3) + beta)

    def branch(self, x: Any, scope: str, *steps: Step) -> Any:
        """One step after the other."""
        for step in steps:
            if step == MEAN_POOL:
                x = tf.nn.avg_pool2d(x, 3, 1, "SAME")
            elif step == MAX_POOL:
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            else:
                name, *rest = step
                x = self.conv(x, f"{scope}/{name}", *rest)
        return x

    def mixed(self, x: Any, scope: str, *branches: list[Step]) -> Any:
        """All branches side by side, joined by channel."""
        return tf.concat(
            [self.branch(x, f"{scope}/Branch_{number}", *steps) for number, steps in enumerate(branches)], 3
        )

    def logits(self, x: Any, name: str, kernel_shape: tuple[int, ...]) -> np.ndarray:
        """(N, 1001) of the mean over the picture."""
        x = tf.reduce_mean(x, (1, 2))
        weights = self._variable(f"{self.scope}/{name}/weights", lambda: self._random.normal(0, 0.1, kernel_shape))
        biases = self._variable(f"{self.scope}/{name}/biases", lambda: self._random.normal(0, 1, 1001))
        return np.asarray(x @ weights.reshape(-1, 1001) + biases)


def write_checkpoint(path: Path, variables: dict[str, Any], version: int) -> None:
    """``version`` 1 is the single file of the published checkpoints, 2 the three files of today."""
    names, values = list(variables), list(variables.values())
    if version == 1:
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=values)
    else:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)

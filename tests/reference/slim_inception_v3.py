"""Inception-v3 as its authors' TF-slim code computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tests.reference.slim import MAX_POOL, MEAN_POOL, Slim

ONE, THREE, FIVE, WIDE, HIGH = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


def slim_v3(x: Any, net: Slim) -> np.ndarray:
    """(N, 299, 299, 3) to (N, 1001) logits."""
    x = _stem(x, net)
    for block, pooled, first, second in (
        ("Mixed_5b", 32, "Conv2d_0a_1x1", "Conv2d_0b_5x5"),
        ("Mixed_5c", 64, "Conv2d_0b_1x1", "Conv_1_0c_5x5"),
        ("Mixed_5d", 64, "Conv2d_0a_1x1", "Conv2d_0b_5x5"),
    ):
        x = net.mixed(
            x,
            block,
            [("Conv2d_0a_1x1", 64, ONE)],
            [(first, 48, ONE), (second, 64, FIVE)],
            [("Conv2d_0a_1x1", 64, ONE), ("Conv2d_0b_3x3", 96, THREE), ("Conv2d_0c_3x3", 96, THREE)],
            [MEAN_POOL, ("Conv2d_0b_1x1", pooled, ONE)],
        )
    x = net.mixed(
        x,
        "Mixed_6a",
        [("Conv2d_1a_1x1", 384, THREE, 2, "VALID")],
        [("Conv2d_0a_1x1", 64, ONE), ("Conv2d_0b_3x3", 96, THREE), ("Conv2d_1a_1x1", 96, THREE, 2, "VALID")],
        [MAX_POOL],
    )
    for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _mixed_17(x, net, block, width)
    x = net.mixed(
        x,
        "Mixed_7a",
        [("Conv2d_0a_1x1", 192, ONE), ("Conv2d_1a_3x3", 320, THREE, 2, "VALID")],
        [
            ("Conv2d_0a_1x1", 192, ONE),
            ("Conv2d_0b_1x7", 192, WIDE),
            ("Conv2d_0c_7x1", 192, HIGH),
            ("Conv2d_1a_3x3", 192, THREE, 2, "VALID"),
        ],
        [MAX_POOL],
    )
    for block, name in (("Mixed_7b", "Conv2d_0b_3x1"), ("Mixed_7c", "Conv2d_0c_3x1")):
        x = _mixed_8(x, net, block, name)
    return net.logits(x, "Logits/Conv2d_1c_1x1", (1, 1, 2048, 1001))


def _stem(x: Any, net: Slim) -> Any:
    x = net.conv(x, "Conv2d_1a_3x3", 32, THREE, 2, "VALID")
    x = net.conv(x, "Conv2d_2a_3x3", 32, THREE, 1, "VALID")
    x = net.conv(x, "Conv2d_2b_3x3", 64, THREE)
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    x = net.conv(x, "Conv2d_3b_1x1", 80, ONE, 1, "VALID")
    x = net.conv(x, "Conv2d_4a_3x3", 192, THREE, 1, "VALID")
    return tf.nn.max_pool2d(x, 3, 2, "VALID")


def _mixed_17(x: Any, net: Slim, block: str, width: int) -> Any:
    """A block at 17 x 17, with 7 x 7 in factors."""
    return net.mixed(
        x,
        block,
        [("Conv2d_0a_1x1", 192, ONE)],
        [("Conv2d_0a_1x1", width, ONE), ("Conv2d_0b_1x7", width, WIDE), ("Conv2d_0c_7x1", 192, HIGH)],
        [
            ("Conv2d_0a_1x1", width, ONE),
            ("Conv2d_0b_7x1", width, HIGH),
            ("Conv2d_0c_1x7", width, WIDE),
            ("Conv2d_0d_7x1", width, HIGH),
            ("Conv2d_0e_1x7", 192, WIDE),
        ],
        [MEAN_POOL, ("Conv2d_0b_1x1", 192, ONE)],
    )


def _mixed_8(x: Any, net: Slim, block: str, name: str) -> Any:
    """A block at 8 x 8, whose branches fork at their ends; ``name`` is what the authors called one of the forks."""
    second = net.branch(x, f"{block}/Branch_1", ("Conv2d_0a_1x1", 384, ONE))
    third = net.branch(x, f"{block}/Branch_2", ("Conv2d_0a_1x1", 448, ONE), ("Conv2d_0b_3x3", 384, THREE))
    return tf.concat(
        [
            net.branch(x, f"{block}/Branch_0", ("Conv2d_0a_1x1", 320, ONE)),
            net.branch(second, f"{block}/Branch_1", ("Conv2d_0b_1x3", 384, (1, 3))),
            net.branch(second, f"{block}/Branch_1", (name, 384, (3, 1))),
            net.branch(third, f"{block}/Branch_2", ("Conv2d_0c_1x3", 384, (1, 3))),
            net.branch(third, f"{block}/Branch_2", ("Conv2d_0d_3x1", 384, (3, 1))),
            net.branch(x, f"{block}/Branch_3", MEAN_POOL, ("Conv2d_0b_1x1", 192, ONE)),
        ],
        3,
    )

"""Inception-v4 as its authors' TF-slim code computes it, and its size as their paper draws it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tests.reference.slim import MAX_POOL, MEAN_POOL, Slim

ONE, THREE, WIDE, HIGH = (1, 1), (3, 3), (1, 7), (7, 1)


def slim_v4(x: Any, net: Slim) -> np.ndarray:
    """(N, 299, 299, 3) to (N, 1001) logits."""
    x = _stem(x, net)
    for letter in "bcde":
        x = net.mixed(
            x,
            f"Mixed_5{letter}",
            [("Conv2d_0a_1x1", 96, ONE)],
            [("Conv2d_0a_1x1", 64, ONE), ("Conv2d_0b_3x3", 96, THREE)],
            [("Conv2d_0a_1x1", 64, ONE), ("Conv2d_0b_3x3", 96, THREE), ("Conv2d_0c_3x3", 96, THREE)],
            [MEAN_POOL, ("Conv2d_0b_1x1", 96, ONE)],
        )
    x = net.mixed(
        x,
        "Mixed_6a",
        [("Conv2d_1a_3x3", 384, THREE, 2, "VALID")],
        [("Conv2d_0a_1x1", 192, ONE), ("Conv2d_0b_3x3", 224, THREE), ("Conv2d_1a_3x3", 256, THREE, 2, "VALID")],
        [MAX_POOL],
    )
    for letter in "bcdefgh":
        x = _mixed_17(x, net, f"Mixed_6{letter}")
    x = net.mixed(
        x,
        "Mixed_7a",
        [("Conv2d_0a_1x1", 192, ONE), ("Conv2d_1a_3x3", 192, THREE, 2, "VALID")],
        [
            ("Conv2d_0a_1x1", 256, ONE),
            ("Conv2d_0b_1x7", 256, WIDE),
            ("Conv2d_0c_7x1", 320, HIGH),
            ("Conv2d_1a_3x3", 320, THREE, 2, "VALID"),
        ],
        [MAX_POOL],
    )
    for letter in "bcd":
        x = _mixed_8(x, net, f"Mixed_7{letter}")
    return net.logits(x, "Logits/Logits", (1536, 1001))


def _stem(x: Any, net: Slim) -> Any:
    x = net.conv(x, "Conv2d_1a_3x3", 32, THREE, 2, "VALID")
    x = net.conv(x, "Conv2d_2a_3x3", 32, THREE, 1, "VALID")
    x = net.conv(x, "Conv2d_2b_3x3", 64, THREE)
    last = ("Conv2d_1a_3x3", 96, THREE, 1, "VALID")
    x = net.mixed(x, "Mixed_3a", [MAX_POOL], [("Conv2d_0a_3x3", 96, THREE, 2, "VALID")])
    x = net.mixed(
        x,
        "Mixed_4a",
        [("Conv2d_0a_1x1", 64, ONE), last],
        [("Conv2d_0a_1x1", 64, ONE), ("Conv2d_0b_1x7", 64, WIDE), ("Conv2d_0c_7x1", 64, HIGH), last],
    )
    return net.mixed(x, "Mixed_5a", [("Conv2d_1a_3x3", 192, THREE, 2, "VALID")], [MAX_POOL])


def _mixed_17(x: Any, net: Slim, scope: str) -> Any:
    """A block at 17 x 17, with 7 x 7 in factors."""
    return net.mixed(
        x,
        scope,
        [("Conv2d_0a_1x1", 384, ONE)],
        [("Conv2d_0a_1x1", 192, ONE), ("Conv2d_0b_1x7", 224, WIDE), ("Conv2d_0c_7x1", 256, HIGH)],
        [
            ("Conv2d_0a_1x1", 192, ONE),
            ("Conv2d_0b_7x1", 192, HIGH),
            ("Conv2d_0c_1x7", 224, WIDE),
            ("Conv2d_0d_7x1", 224, HIGH),
            ("Conv2d_0e_1x7", 256, WIDE),
        ],
        [MEAN_POOL, ("Conv2d_0b_1x1", 128, ONE)],
    )


def _mixed_8(x: Any, net: Slim, scope: str) -> Any:
    """A block at 8 x 8, whose branches fork at their ends."""
    second = net.branch(x, f"{scope}/Branch_1", ("Conv2d_0a_1x1", 384, ONE))
    third = net.branch(
        x,
        f"{scope}/Branch_2",
        ("Conv2d_0a_1x1", 384, ONE),
        ("Conv2d_0b_3x1", 448, (3, 1)),
        ("Conv2d_0c_1x3", 512, (1, 3)),
    )
    return tf.concat(
        [
            net.branch(x, f"{scope}/Branch_0", ("Conv2d_0a_1x1", 256, ONE)),
            net.branch(second, f"{scope}/Branch_1", ("Conv2d_0b_1x3", 256, (1, 3))),
            net.branch(second, f"{scope}/Branch_1", ("Conv2d_0c_3x1", 256, (3, 1))),
            net.branch(third, f"{scope}/Branch_2", ("Conv2d_0d_1x3", 256, (1, 3))),
            net.branch(third, f"{scope}/Branch_2", ("Conv2d_0e_3x1", 256, (3, 1))),
            net.branch(x, f"{scope}/Branch_3", MEAN_POOL, ("Conv2d_0b_1x1", 256, ONE)),
        ],
        3,
    )


def _conv(kernel: int, inputs: int, outputs: int) -> int:
    """Parameters of a convolution without bias, and beta, mean and variance of its normalisation."""
    return kernel * inputs * outputs + 3 * outputs


# Parameters of each block of Inception-v4, counted by hand from the figures of the paper.
PARAMETERS = {
    "stem": (  # figure 3
        _conv(9, 3, 32) + _conv(9, 32, 32) + _conv(9, 32, 64)
        + _conv(9, 64, 96)
        + _conv(1, 160, 64) + _conv(9, 64, 96)
        + _conv(1, 160, 64) + _conv(7, 64, 64) + _conv(7, 64, 64) + _conv(9, 64, 96)
        + _conv(9, 192, 192)
    ),
    **dict.fromkeys(  # figure 4
        ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_5e"),
        _conv(1, 384, 96)
        + _conv(1, 384, 64) + _conv(9, 64, 96)
        + _conv(1, 384, 64) + _conv(9, 64, 96) + _conv(9, 96, 96)
        + _conv(1, 384, 96),
    ),
    "Mixed_6a": _conv(9, 384, 384) + _conv(1, 384, 192) + _conv(9, 192, 224) + _conv(9, 224, 256),  # figure 7
    **dict.fromkeys(  # figure 5
        (f"Mixed_6{letter}" for letter in "bcdefgh"),
        _conv(1, 1024, 384)
        + _conv(1, 1024, 192) + _conv(7, 192, 224) + _conv(7, 224, 256)
        + _conv(1, 1024, 192) + _conv(7, 192, 192) + _conv(7, 192, 224) + _conv(7, 224, 224) + _conv(7, 224, 256)
        + _conv(1, 1024, 128),
    ),
    "Mixed_7a": (  # figure 8
        _conv(1, 1024, 192) + _conv(9, 192, 192)
        + _conv(1, 1024, 256) + _conv(7, 256, 256) + _conv(7, 256, 320) + _conv(9, 320, 320)
    ),
    **dict.fromkeys(  # figure 6
        ("Mixed_7b", "Mixed_7c", "Mixed_7d"),
        _conv(1, 1536, 256)
        + _conv(1, 1536, 384) + 2 * _conv(3, 384, 256)
        + _conv(1, 1536, 384) + _conv(3, 384, 448) + _conv(3, 448, 512) + 2 * _conv(3, 512, 256)
        + _conv(1, 1536, 256),
    ),
    "Logits": 1536 * 1000 + 1000,
}  # fmt: skip

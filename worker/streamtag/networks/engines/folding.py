"""Fold batch normalisation into the convolution before it. Keras 3 never does, and serves the unfused operation.

``y = γ·(conv(x) + b − μ)/√(σ² + ε) + β`` is the convolution with ``kernel·s`` and ``(b − μ)·s + β``, where
``s = γ/√(σ² + ε)`` (Jacob et al. 2018, arXiv:1712.05877, section 3.2).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from streamtag.networks.engines.flattening import flatten
from streamtag.networks.graph import graph_of
from streamtag.networks.unknown import NoneOfThese

_FOLDABLE = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D, layers.Dense)


def fold_batch_norm(model: keras.Model, precision: str = "float32") -> keras.Model:
    """The same function with fewer operations, models nested in it opened up. The model given is left as it is.

    Folds where a linear convolution or dense layer feeds one batch normalisation and nothing else.

    Args:
        precision: ``bfloat16`` and ``float16`` compute in it, all but the last layer: a softmax in so few bits of
            mantissa is too coarse.
    """
    model = flatten(model)
    normalised_by = _pairs(model)
    folded = {norm.name for norm in normalised_by.values()}
    exact = {model.layers[-1].name}
    if isinstance(model.layers[-1], NoneOfThese):  # which stands behind the softmax
        exact |= graph_of(model).sources(model.layers[-1].name)

    def clone(layer: layers.Layer) -> layers.Layer:
        if layer.name in folded:
            return layers.Identity(name=layer.name)
        config = layer.get_config()
        if layer.name in normalised_by:
            config["use_bias"] = True
        if precision != "float32" and layer.name not in exact:
            config["dtype"] = f"mixed_{precision}"
        return type(layer).from_config(config)

    def call(layer: layers.Layer, *arguments: Any, **named: Any) -> Any:
        return arguments[0] if layer.name in folded else layer(*arguments, **named)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name not in folded and layer.weights:
            norm = normalised_by.get(layer.name)
            weights = layer.get_weights() if norm is None else _folded_weights(layer, norm)
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def _pairs(model: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Name of each layer that can be folded to the normalisation behind it."""
    norms: dict[str, layers.BatchNormalization] = {}
    graph, by_name = graph_of(model), {layer.name: layer for layer in model.layers}
    for norm in model.layers:
        if type(norm) is not layers.BatchNormalization or len(graph.calls[norm.name]) != 1:
            continue
        name = graph.calls[norm.name][0][0]
        source = by_name.get(name)  # None for a bare operation, such as a sum of two tensors
        if type(source) not in _FOLDABLE or getattr(source, "activation", None) not in (None, keras.activations.linear):
            continue
        alone = graph.consumers(name) == [norm.name] and len(graph.calls[name]) == 1 and name not in graph.outputs
        if alone and _channels_last(source, norm):
            norms[name] = norm
    return norms


def _channels_last(source: layers.Layer, norm: layers.BatchNormalization) -> bool:
    axis = norm.axis if isinstance(norm.axis, int) else norm.axis[0]
    last = axis in (-1, norm.input_spec.ndim - 1)
    return last and getattr(source, "data_format", "channels_last") == "channels_last"


def _folded_weights(layer: layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    # In double precision: the product of many small factors is rounded once, at the end.
    mean, variance = (np.asarray(value, np.float64) for value in (norm.moving_mean, norm.moving_variance))
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
    beta = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    scale = gamma / np.sqrt(variance + norm.epsilon)
    *before, kernel, bias = layer.get_weights() if layer.use_bias else [*layer.get_weights(), 0.0]
    # A depthwise kernel is (rows, columns, channels, multiplier): its outputs are the last two together.
    per_output = scale.reshape(kernel.shape[2:]) if type(layer) is layers.DepthwiseConv2D else scale
    kernel = kernel * per_output
    return [*before, kernel.astype(np.float32), ((bias - mean) * scale + beta).astype(np.float32)]

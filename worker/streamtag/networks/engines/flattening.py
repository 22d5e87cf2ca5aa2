"""A model without models inside it: transfer learning makes such ones, and nothing folds across their borders."""

from __future__ import annotations

from typing import Any

import keras


def flatten(model: keras.Model) -> keras.Model:
    """The same function at inference as one graph, made of the very same layers. The model given stays as it is.

    Where that cannot be it is returned itself: two layers would have one name, or what is nested is no plain graph.
    """
    if not any(_opens(layer) for layer in model.layers):
        return model
    inputs = [keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name) for given in model.inputs]
    outputs = _run(model, inputs)
    try:
        return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)
    except ValueError:  # two layers of one name
        return model


def _opens(layer: Any) -> bool:
    """Whether it is a model whose graph is known."""
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and isinstance(layer, keras.Function))


def _run(model: keras.Model, inputs: list[Any]) -> Any:
    """What comes out of a model for symbolic inputs, its layers called one by one."""
    if isinstance(model, keras.Sequential):
        outputs = inputs[0]
        for layer in model.layers:
            outputs = _call(layer, outputs)
        return outputs
    # The walk of Keras's own ``clone_model``, which cannot begin at the tensors of another graph.
    return model._run_through_graph(inputs, operation_fn=lambda layer: layer, call_fn=_call)  # noqa: SLF001


def _call(layer: Any, *arguments: Any, **named: Any) -> Any:
    if _opens(layer) and len(arguments) == 1:
        return _run(layer, keras.tree.flatten(arguments[0]))
    return layer(*arguments, **named)

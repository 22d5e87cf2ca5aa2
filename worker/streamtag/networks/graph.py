"""Which layer feeds which: read from what Keras saves of a model, so nested and shared layers are told as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True, slots=True)
class Graph:
    """A model's layers by name."""

    calls: dict[str, list[list[str]]]  # layer -> each time that it is called -> the layers whose outputs it takes
    outputs: frozenset[str]  # layers whose outputs are the model's

    def sources(self, name: str) -> set[str]:
        """The layers that feed this one, in any call."""
        return {source for call in self.calls[name] for source in call}

    def consumers(self, name: str) -> list[str]:
        """The layers that this one feeds, an entry for each time."""
        return [other for other, calls in self.calls.items() for call in calls for source in call if source == name]


def graph_of(model: keras.Model) -> Graph:
    """The graph of a functional or sequential model."""
    if isinstance(model, keras.Sequential):
        names = [layer.name for layer in model.layers]
        chain = zip(names, [None, *names], strict=False)
        return Graph({name: [[before] if before else []] for name, before in chain}, frozenset(names[-1:]))
    config = model.get_config()
    calls = {layer["name"]: [list(_tensors(call)) for call in layer["inbound_nodes"]] for layer in config["layers"]}
    return Graph(calls, frozenset(_outputs(config["output_layers"])))


def _tensors(content: Any) -> Iterator[str]:
    """Where the tensors among a call's arguments come from, however deep they are nested."""
    if isinstance(content, dict) and content.get("class_name") == "__keras_tensor__":
        yield content["config"]["keras_history"][0]
    elif isinstance(content, dict | list | tuple):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _tensors(value)


def _outputs(content: Any) -> Iterator[str]:
    """The names in ``[layer, call, output]``, or in a structure of those."""
    if isinstance(content, list | tuple) and content and isinstance(content[0], str):
        yield content[0]
    elif isinstance(content, dict | list | tuple):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _outputs(value)

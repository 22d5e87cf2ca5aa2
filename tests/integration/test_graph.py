"""The graph of a Keras model, read from its public record."""

from __future__ import annotations

import keras
from streamtag.networks.graph import graph_of


def test_branches_operations_and_shared_layers_are_told() -> None:
    inputs = keras.Input((8,), name="in")
    shared = keras.layers.Dense(8, name="shared")
    once = shared(inputs)
    joined = keras.layers.Add(name="add")([once, shared(once)])
    graph = graph_of(keras.Model(inputs, {"first": joined, "second": keras.ops.relu(joined)}))
    assert graph.calls["shared"] == [["in"], ["shared"]]
    assert graph.calls["add"] == [["shared", "shared"]]
    assert graph.sources("shared") == {"in", "shared"}
    assert graph.consumers("shared") == ["shared", "add", "add"]
    assert graph.consumers("add") == list(graph.outputs - {"add"}) == ["relu"]
    assert "add" in graph.outputs


def test_a_nested_model_is_one_layer_and_a_sequential_one_a_chain() -> None:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(2, name="b")])
    inner.name = "inner"
    assert graph_of(inner).calls == {"a": [[]], "b": [["a"]]}
    assert graph_of(inner).outputs == {"b"}
    inputs = keras.Input((8,), name="in")
    outer = graph_of(keras.Model(inputs, keras.layers.Softmax(name="end")(inner(inputs))))
    assert outer.calls == {"in": [], "inner": [["in"]], "end": [["inner"]]}

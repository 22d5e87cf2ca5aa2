"""The outcome of none of the classes is part of the network: every engine serves it, with the same figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest
from streamtag.core.bundle import Unknown, UnknownBy
from streamtag.errors import ConfigError
from streamtag.networks.architectures.heads import power_normalise
from streamtag.networks.building import build
from streamtag.networks.bundles import read_bundle
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.loading import compile_model
from streamtag.networks.unknown import with_features
from streamtag.settings import EngineSettings

from tests.support.bundles import random_bundle, whole_bundle

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("by", ["probability", "energy", "distance"])
def test_every_engine_gives_what_the_score_says(by: UnknownBy, tmp_path: Path) -> None:
    plain = read_bundle(whole_bundle(tmp_path))
    model, last = with_features(build(plain))
    assert last is not None
    both = np.asarray(model(normalise(PICTURES, "tf"), training=False))
    probabilities, features = both[:, :2], both[:, 2:]
    means = power_normalise(features[:2])
    np.save(tmp_path / "means.npy", means)
    score = {
        "probability": probabilities.max(axis=1),
        "energy": np.log(np.exp(features @ last.kernel + last.bias).sum(axis=1)),
        "distance": -((power_normalise(features)[:, None] - means) ** 2).sum(axis=2).min(axis=1),
    }[by]
    threshold, width = float(np.median(score)), float(max(np.std(score), 1e-3))
    unknown = Unknown(by, threshold, width, str(tmp_path / "means.npy"))
    bundle = replace(plain, labels=(*plain.labels, "unknown"), unknown=unknown)
    share = 1 / (1 + np.exp((score - threshold) / width))
    expected = np.hstack([probabilities * (1 - share[:, None]), share[:, None]])
    engines: tuple[Literal["tf_graph", "tf_xla", "openvino"], ...] = ("tf_graph", "tf_xla", "openvino")
    for engine in engines:
        network = compile_model(build(bundle), bundle, EngineSettings(name=engine, precision="float32", buckets=[4]))
        assert network.engine.predict(PICTURES) == pytest.approx(expected, abs=2e-3), engine


def test_a_network_without_a_dense_layer_at_its_end_has_no_energy(tmp_path: Path) -> None:
    plain = random_bundle("squeezenet")
    bundle = replace(plain, labels=(*plain.labels, "unknown"), unknown=Unknown("energy", 1.0, 0.1))
    with pytest.raises(ConfigError, match="does not end with a dense layer"):
        build(bundle)
    bundle = replace(bundle, unknown=Unknown("probability", 0.5, 0.1))
    assert build(bundle).output_shape == (None, 1001)


def test_class_means_of_another_network_are_refused(tmp_path: Path) -> None:
    plain = read_bundle(whole_bundle(tmp_path))
    np.save(tmp_path / "means.npy", np.zeros((2, 7), np.float32))
    bundle = replace(
        plain, labels=(*plain.labels, "unknown"), unknown=Unknown("distance", 0.0, 1.0, str(tmp_path / "means.npy"))
    )
    with pytest.raises(ConfigError, match="7 features of a network that has 4"):
        build(bundle)
    (tmp_path / "means.npy").write_bytes(b"no array")
    with pytest.raises(ConfigError, match="class means cannot be read"):
        build(bundle)
    keras.backend.clear_session()

"""Which engine is taken: by figures, by what the machine has, and by what was found before."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Preprocessing, Quantised
from streamtag.core.engine_choice import Agreement, EngineChoice, EngineFigure, choose
from streamtag.errors import ConfigError
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.choosing import agreement, choice_of
from streamtag.networks.drawn import COMPARED, until_enough
from streamtag.networks.engine_choices import EngineChoices
from streamtag.networks.engines.candidates import candidates, default_engine, settled
from streamtag.networks.engines.machine import Machine, this_machine
from streamtag.settings import EngineSettings, ModelSettings, Settings

LEAST = Agreement(0.995, 0.98)
ZEN = Machine("Zen", frozenset({"avx2", "avx512_bf16"}), 2, (), (("tensorflow", "2.21"), ("openvino", "2026.4")))
LAKE = replace(ZEN, processor="Lake", flags=frozenset({"avx2", "avx512_vnni"}))
BUNDLE = Bundle("small", "SqueezeNet", ("cat", "dog"), Preprocessing(32), weights="random")


def figure(engine: str, precision: str, images_per_s: float, agreement: float = 1.0) -> EngineFigure:
    return EngineFigure(engine, precision, images_per_s, agreement)


@pytest.mark.parametrize(
    ("figures", "taken"),
    [
        ([figure("tf_graph", "float32", 14), figure("openvino", "float32", 20)], ("openvino", "float32")),
        ([figure("tf_graph", "float32", 14), figure("openvino", "int8", 42, 0.98)], ("openvino", "int8")),
        ([figure("tf_graph", "float32", 14), figure("openvino", "int8", 42, 0.979)], ("tf_graph", "float32")),
        ([figure("tf_graph", "float32", 17), figure("tf_graph", "bfloat16", 34, 0.99)], ("tf_graph", "float32")),
        ([figure("tf_graph", "float32", 17), figure("tf_graph", "bfloat16", 4)], ("tf_graph", "float32")),
        # About as fast: what is exact, then what was named first.
        ([figure("openvino", "bfloat16", 20), figure("tf_graph", "float32", 19.5)], ("tf_graph", "float32")),
        ([figure("tf_graph", "float32", 20), figure("openvino", "float32", 20.5)], ("tf_graph", "float32")),
        ([EngineFigure("tf_graph", "float32", fault="no"), figure("openvino", "float32", 1)], ("openvino", "float32")),
    ],
)
def test_the_fastest_whose_labels_agree_is_taken(figures: list[EngineFigure], taken: tuple[str, str]) -> None:
    choice = choose(figures, LEAST)
    assert choice is not None
    assert (choice.engine, choice.precision) == taken


def test_a_slow_engine_is_given_fewer_pictures_and_a_fast_one_all(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.arange(COMPARED)
    clock = itertools.count(0.0, 0.0)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert [len(part) for part in until_enough(pictures, 100, 3.0)] == [100, 100, 56]
    clock = itertools.count(0.0, 60.0)
    assert np.concatenate(list(until_enough(pictures, 8, 3.0))).tolist() == list(range(16))


def test_the_reason_names_all_that_were_not_taken() -> None:
    choice = choose(
        [
            figure("tf_graph", "float32", 14),
            figure("openvino", "int8", 42, 0.9),
            EngineFigure("openvino", "bfloat16", fault="no time was left"),
        ],
        LEAST,
    )
    assert choice is not None
    assert choice.why == (
        "tf_graph float32 14 images/s; openvino int8 left out: agrees with float32 in 90.0% of 98.0% asked; "
        "openvino bfloat16 left out: no time was left"
    )
    assert choose([EngineFigure("openvino", "float32", fault="no")], LEAST) is None


def test_who_names_a_precision_has_chosen_it() -> None:
    named = EngineSettings(precision="bfloat16")
    assert choose([figure("tf_graph", "bfloat16", 3, 0.1)], agreement(named)) is not None
    assert {pair[1] for pair in candidates(ZEN, BUNDLE, named, gpu=False)} == {"bfloat16"}


def test_only_what_the_machine_has_is_measured() -> None:
    """Emulated bfloat16 is several times slower than float32; without 8 bits in the bundle there are none."""
    quantised = replace(BUNDLE, quantised=Quantised("q.xml", "0" * 64, 0.99))
    auto = EngineSettings()
    assert ("tf_graph", "bfloat16") in candidates(ZEN, BUNDLE, auto, gpu=False)
    assert candidates(LAKE, BUNDLE, auto, gpu=False) == [("tf_graph", "float32"), ("openvino", "float32")]
    assert ("openvino", "int8") in candidates(LAKE, quantised, auto, gpu=False)
    assert ("openvino", "int8") not in candidates(LAKE, BUNDLE, auto, gpu=False)
    bare = replace(LAKE, libraries=(("tensorflow", "2.21"),))
    assert candidates(bare, quantised, auto, gpu=False) == [("tf_graph", "float32"), ("tf_xla", "float32")]
    card = replace(LAKE, libraries=(*LAKE.libraries, ("jax", "0.10")))
    assert {engine for engine, _ in candidates(card, BUNDLE, auto, gpu=True)} == {"tf_xla", "jax"}
    assert {engine for engine, _ in candidates(LAKE, BUNDLE, auto, gpu=True)} == {"tf_xla"}


@pytest.mark.parametrize(
    ("settings", "gpu", "expected"),
    [
        ({}, False, ("tf_graph", "float32")),
        ({}, True, ("tf_xla", "float32")),
        ({"precision": "int8"}, False, ("openvino", "int8")),
        ({"precision": "bfloat16"}, False, ("tf_graph", "bfloat16")),
        ({"name": "openvino"}, True, ("openvino", "float32")),
    ],
)
def test_what_is_left_open_is_settled_without_measuring(
    settings: dict[str, str], gpu: bool, expected: tuple[str, str]
) -> None:
    found = settled(EngineSettings.model_validate(settings), gpu)
    assert (found.name, found.precision) == expected


def test_an_engine_that_lacks_a_precision_says_which_it_has() -> None:
    with pytest.raises(ConfigError, match="tf_graph does not compute in int8; it does in float32, bfloat16"):
        settled(EngineSettings(name="tf_graph", precision="int8"), gpu=False)


class Kept:
    """Choices in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.model = ModelSettings(name="demo", cache=folder)
        self.choices = self.of(BUNDLE)
        self.choice = EngineChoice("openvino", "float32", "measured", "it was", (figure("openvino", "float32", 2.5),))

    def of(self, bundle: Bundle, **engine: object) -> EngineChoices:
        return EngineChoices(self.model, EngineSettings.model_validate(engine), bundle, weights_sha256(bundle))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_what_was_chosen_is_found_again(kept: Kept) -> None:
    assert kept.choices.read() is None
    kept.choices.keep(kept.choice)
    assert kept.of(BUNDLE).read() == replace(kept.choice, origin="kept")
    assert len(list(kept.choices.path.parent.iterdir())) == 1, "nothing is left of the writing"


def test_another_network_machine_or_question_is_not_answered_by_it(kept: Kept, tmp_path: Path) -> None:
    weights = tmp_path / "network.weights.h5"
    weights.write_bytes(b"one")
    one = kept.of(replace(BUNDLE, weights=str(weights))).path
    weights.write_bytes(b"two")
    others = [
        kept.of(replace(BUNDLE, weights=str(weights))).path,
        kept.of(replace(BUNDLE, quantised=Quantised("q.xml", "0" * 64, 0.99))).path,
        kept.of(replace(BUNDLE, preprocessing=Preprocessing(64))).path,
        kept.of(BUNDLE, threads=1).path,
        kept.of(BUNDLE, buckets=[64]).path,
        kept.of(BUNDLE, precision="float32").path,
        kept.of(BUNDLE, agreement_16bit=0.5).path,
    ]
    assert len({kept.choices.path, one, *others}) == 9
    assert kept.of(BUNDLE, measure_s=5).path == kept.choices.path


def test_the_machine_tells_processor_libraries_and_cores() -> None:
    found = this_machine().identity()
    assert found["processor"]
    assert found["cores"] >= 1
    assert {"tensorflow", "keras"} <= {name for name, _ in found["libraries"]}
    assert found == this_machine().identity()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "not JSON",
        '{"engine": "null", "precision": "float32", "origin": "measured", "why": "", "figures": []}',
        '{"engine": "openvino", "precision": "float64", "origin": "measured", "why": "", "figures": []}',
        '{"engine": "openvino", "precision": "float32", "origin": "dreamt", "why": "", "figures": []}',
        '{"engine": ["openvino"], "precision": "float32", "origin": "measured", "why": "", "figures": []}',
        json.dumps({"why": "x" * 100_000}),
    ],
)
def test_a_file_that_says_no_engine_counts_as_none(kept: Kept, content: str) -> None:
    kept.choices.keep(kept.choice)
    kept.choices.path.write_text(content)
    assert kept.choices.read() is None
    kept.choices.keep(kept.choice)
    assert kept.choices.read() is not None


def test_a_folder_that_cannot_be_written_costs_measuring_again_and_no_more(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("in the way")
    with kept.choices.locked(0.1):
        kept.choices.keep(kept.choice)
    assert kept.choices.read() is None


def test_one_process_measures_at_a_time(kept: Kept) -> None:
    """The second waits for the first, but not for ever."""
    with kept.choices.locked(0.1):
        began_s = time.monotonic()
        with kept.of(BUNDLE).locked(0.3):
            assert time.monotonic() - began_s >= 0.3
    began_s = time.monotonic()
    with kept.of(BUNDLE).locked(30):
        assert time.monotonic() - began_s < 20


@pytest.mark.parametrize(
    ("libraries", "cards", "precision", "engine"),
    [
        (("openvino",), (), "auto", "openvino"),
        (("openvino",), (), "float32", "openvino"),
        ((), (), "auto", "auto"),
        (("openvino",), ("H100",), "auto", "auto"),
        (("openvino",), (), "bfloat16", "auto"),
    ],
)
def test_where_nothing_is_measured_a_processor_has_openvino_and_a_card_tensorflow(
    libraries: tuple[str, ...], cards: tuple[str, ...], precision: Any, engine: str
) -> None:
    machine = Machine("a processor", frozenset(), 2, cards, tuple((name, "1") for name in libraries))
    assert default_engine(machine, EngineSettings(precision=precision)) == engine


def test_named_engines_and_a_time_of_nought_measure_nothing(tmp_path: Path) -> None:
    def never(*step: object) -> None:
        raise AssertionError(f"measured {step}")

    model = {"name": "demo", "cache": str(tmp_path)}
    for engine, origin in (({"name": "tf_graph"}, "named"), ({"measure_s": 0}, "default")):
        settings = Settings.model_validate({"model": model, "engine": engine})
        assert choice_of(settings, BUNDLE, lambda: "", True, never).origin == origin
    assert choice_of(Settings.model_validate({"model": model}), BUNDLE, lambda: "", False, never).origin == "default"
    assert not list(tmp_path.iterdir())

"""``engine.name: auto``: the first start measures the engines, in a process of its own, and the next ones need not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from streamtag.networks import choosing
from streamtag.networks.choosing import choice_of
from streamtag.networks.drawn import blots
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.measuring import Measured
from streamtag.networks.random_weights import build_to_compare
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings

from tests.support import LIMIT_S, Worker, eventually
from tests.support.bundles import whole_bundle

MEASURING = "streamtag.networks.measuring"


def measuring(parent: int) -> list[psutil.Process]:
    """The measuring processes that a process has started."""
    try:
        children = psutil.Process(parent).children()
        return [child for child in children if MEASURING in child.cmdline()]
    except psutil.NoSuchProcess:
        return []


def test_a_time_that_is_too_short_leaves_the_default_and_no_process(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"model": {"name": "demo", "cache": str(tmp_path)}, "engine": {"measure_s": 0.5}}
    )
    began_s = time.monotonic()
    choice = choice_of(settings, resolve(settings.model), lambda: "", True, lambda what, done, total: None)
    assert (choice.origin, choice.engine) == ("default", "auto")
    assert "within 0.5 s" in choice.why
    assert time.monotonic() - began_s < 30
    assert not measuring(psutil.Process().pid)
    assert not list((tmp_path / "engines").glob("*.json")), "what was not measured is not kept"


# Stands in for the measuring process: what the frameworks would do is told by ``{openvino}``.
STAND_IN = """
import json, sys, time
sys.stdin.readline()
print(json.dumps({{"gpu": False}}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["engine"] == "openvino":
        {openvino}
    print(json.dumps({{"images_per_s": 5.0, "best": [1, 2]}}), flush=True)
"""


@pytest.mark.parametrize(
    ("openvino", "fault"),
    [
        ("time.sleep(60)", "no time was left for it"),
        ("sys.exit(9)", "it ended its process (code 9)"),
        ("print(json.dumps({'fault': 'no such thing'}), flush=True); continue", "no such thing"),
        ("print('{\"images_per_s\": 5', end='', flush=True); sys.exit(9)", "ended within an answer"),
    ],
)
def test_an_engine_that_hangs_or_crashes_is_left_out_and_the_others_stay(
    openvino: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = STAND_IN.format(openvino=openvino)
    monkeypatch.setattr(choosing, "COMMAND", (sys.executable, "-c", stand_in))
    settings = Settings.model_validate({"model": {"name": "demo", "cache": str(tmp_path)}, "engine": {"measure_s": 5}})
    choice = choice_of(settings, resolve(settings.model), lambda: "", True, lambda what, done, total: None)
    assert (choice.engine, choice.precision, choice.origin) == ("tf_graph", "float32", "measured")
    rates = {(figure.engine, figure.precision): figure.images_per_s for figure in choice.figures}
    assert rates["tf_graph", "float32"] == 5.0
    assert any(fault in figure.fault for figure in choice.figures if figure.engine == "openvino"), choice
    assert not [child for child in psutil.Process().children() if stand_in in child.cmdline()]
    assert choice_of(settings, resolve(settings.model), lambda: "", True, _never).origin == "kept"


def test_random_weights_are_the_same_for_all_that_compare_engines_by_them() -> None:
    """A worker that measures and ``bench engines`` each built a network of its own, and judged it apart."""
    models, engine = ModelSettings(name="squeezenet", weights="random"), EngineSettings(name="tf_graph")
    bundle = resolve(models)
    pictures = blots(8, bundle.preprocessing.size)
    one, other = build_to_compare(bundle, engine), Measured(models, engine).model
    for weight, expected in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    scores = np.asarray(one(normalise(pictures, bundle.preprocessing.mode), training=False))
    assert 0.5 < np.log(scores).std(axis=1).mean() < 5, "as scores of trained ones are, not all alike"


def test_a_network_that_cannot_be_had_is_the_reason_and_not_the_time(tmp_path: Path) -> None:
    """As of a bundle that somebody replaced after this worker had read it."""
    bundle = resolve(ModelSettings(name="demo"))
    here = {"name": str(tmp_path / "gone"), "cache": str(tmp_path)}
    settings = Settings.model_validate({"model": here, "engine": {"measure_s": 100}})
    choice = choice_of(settings, bundle, lambda: "", True, lambda what, done, total: None)
    assert (choice.origin, choice.engine) == ("default", "auto")
    assert "unknown model" in choice.why


def test_a_precision_that_nothing_here_has_is_the_reason_and_not_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "COMMAND", (sys.executable, "-c", STAND_IN.format(openvino="pass")))
    settings = Settings.model_validate(
        {"model": {"name": "demo", "cache": str(tmp_path)}, "engine": {"precision": "float16"}}
    )
    choice = choice_of(settings, resolve(settings.model), lambda: "", True, lambda what, done, total: None)
    assert choice.why == "there is no engine to measure in float16 here"


def _never(what: str, done: int, total: int) -> None:
    raise AssertionError("measured again")


def test_a_measuring_process_ends_with_the_one_that_started_it() -> None:
    """Whatever it does then: here it imports TensorFlow."""
    child = subprocess.Popen(
        [sys.executable, "-m", MEASURING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None
    child.stdin.write(b'{"model": {"name": "demo"}, "engine": {"name": "tf_graph"}}\n')
    child.stdin.close()
    assert child.wait(60) == 0
    assert child.stdout is not None
    child.stdout.close()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_first_start_measures_and_the_next_one_knows(
    settings: Settings, workers: list[Worker], tmp_path: Path
) -> None:
    own = {
        "STREAMTAG_ENGINE__NAME": "auto",
        "STREAMTAG_ENGINE__MEASURE_S": "100",
        "STREAMTAG_ENGINE__BUCKETS": "[1, 2]",
        "STREAMTAG_MODEL__CACHE": str(tmp_path),
        "STREAMTAG_MODEL__NAME": str(whole_bundle(tmp_path)),
    }

    def engine_of(worker: Worker) -> dict[str, Any]:
        line = eventually(lambda: worker.said("engine"), "the worker names its engine", 30)
        info = f'chosen="{line["chosen"]}",engine="{line["engine"]}",precision="{line["precision"]}"'
        assert info in worker.get("/metrics")[1]
        return line

    def start() -> Worker:
        workers.append(Worker(settings, env=own))
        return workers[-1].ready(LIMIT_S + 150)

    first = start()
    assert first.said("measuring engines", what="tf_graph float32")
    measured = engine_of(first)
    assert measured["chosen"] == "measured"
    assert not measuring(first.process.pid), "its memory is given back"
    assert list((tmp_path / "converted").glob("own-*/network.bin")), "what was measured need not be converted again"
    first.kill()
    second = start()
    assert not second.said("measuring engines")
    kept = engine_of(second)
    assert kept["chosen"] == "kept"
    assert [kept[name] for name in ("engine", "precision", "why")] == [
        measured[name] for name in ("engine", "precision", "why")
    ]

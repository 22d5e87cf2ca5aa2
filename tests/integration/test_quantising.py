"""``models quantise``: a bundle's network in 8-bit integers, judged, stored and served."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Quantised
from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks import loading
from streamtag.networks.bundle_file import read_bundle_file
from streamtag.networks.bundles import read_bundle
from streamtag.networks.conversions import KeptConversion
from streamtag.networks.engines.openvino_engine import Converted
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import build_model, compile_model
from streamtag.networks.registry import DEMO_BUNDLE, resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools.demo.train import draw_set
from streamtag.tools.quantising import Quantisation, quantise

from tests.support import run_cli
from tests.support.command_line import json_lines


def _draw(folder: Path, labels: tuple[str, ...], each: int) -> Path:
    """Drawn pictures in a folder for each class, sharp and at the network's own size."""
    pictures, classes = draw_set(each * len(labels), 42)
    for number, (picture, class_id) in enumerate(zip(pictures, classes, strict=True)):
        path = folder / labels[class_id] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo network as a bundle of one's own, with its 8-bit form, and pictures beside it."""
    folder = tmp_path_factory.mktemp("quantised")
    for path in DEMO_BUNDLE.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    labels = read_bundle(folder).labels
    _draw(folder / "pictures", labels, 8)
    settings = Settings.model_validate({"model": {"name": str(folder)}})
    found = quantise(folder, folder / "pictures", settings, lambda step: None)
    assert found.accuracy is not None
    assert found.accuracy_float32 is not None
    assert found.accuracy >= found.accuracy_float32 - 0.01
    return folder


def test_float32_is_float32_on_a_processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 8 bits are compared with: it was bfloat16 there, of which MobileNetV2 has other labels than float32."""
    forbid_telemetry()
    import openvino as ov  # noqa: PLC0415 - see above
    from streamtag.tools import quantising_steps as steps  # noqa: PLC0415 - see above

    compiled = []

    class Noting(ov.Core):  # type: ignore[misc]
        def compile_model(self, *given: Any) -> Any:
            compiled.append(super().compile_model(*given))
            return compiled[0]

    monkeypatch.setattr(ov, "Core", Noting)
    demo = resolve(ModelSettings(name="demo"))
    pictures, classes = draw_set(1, 42)
    model = steps.convert(build_model(demo, EngineSettings(name="openvino")), demo)
    assert (steps.best_classes(model, pictures) == classes).mean() > 0.8
    assert [one.get_property("INFERENCE_PRECISION_HINT").to_string() for one in compiled] == ["f32"]


def _served(folder: Path) -> Bundle:
    return resolve(ModelSettings(name=str(folder)))


@pytest.mark.long
def test_a_quantised_network_is_smaller_and_chooses_the_same_labels(bundle: Path) -> None:
    entry = read_bundle_file(bundle).quantised
    assert entry is not None
    assert (bundle / entry.file).with_suffix(".bin").stat().st_size < (bundle / "network.weights.h5").stat().st_size / 2
    served = _served(bundle)
    pictures, classes = draw_set(50, 4242)
    engine = EngineSettings(name="openvino", precision="int8", buckets=[1, 8])
    network = compile_model(build_model(served, engine), served, engine)
    assert (network.engine.name, network.engine.precision) == ("openvino", "int8")
    assert (network.engine.predict(pictures).argmax(axis=1) == classes).mean() > 0.9
    np.testing.assert_allclose(network.engine.predict(pictures[:3]).sum(axis=1), 1.0, atol=1e-2)


@pytest.mark.long
def test_a_second_start_of_8_bits_needs_no_keras(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What float32 says of the drawn pictures is kept, too: the processor is judged by it again."""
    settings = Settings.model_validate(
        {
            "model": {"name": str(bundle), "cache": str(tmp_path)},
            "engine": {"name": "openvino", "precision": "int8", "buckets": [8]},
        }
    )
    pictures, _ = draw_set(8, 4242)
    scores = loading.load(settings).engine.predict(pictures)
    monkeypatch.setattr(loading, "build_model", lambda *given: pytest.fail("built anew"))
    np.testing.assert_array_equal(loading.load(settings).engine.predict(pictures), scores)
    (kept,) = tmp_path.glob("converted/*/in_float.npy")
    other = (np.load(kept) + 1) % len(read_bundle(bundle).labels)
    monkeypatch.setattr(KeptConversion, "read", lambda self: Converted(None, other))
    with pytest.raises(ConfigError, match="this processor computes something else"):
        loading.load(settings)


@pytest.mark.long
def test_8_bits_that_have_nothing_of_the_network_are_refused_at_once(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamtag.tools import quantising_steps as steps  # noqa: PLC0415 - after their telemetry is forbidden

    noise = steps.Way("8 bits of noise", lambda model, pictures, best: _noise(steps, bundle))
    monkeypatch.setattr(steps, "WAYS", (noise, steps.Way("never", lambda *given: pytest.fail("went on"))))
    before = (bundle / "bundle.json").read_text()
    settings = Settings.model_validate({"model": {"name": str(bundle)}})
    with pytest.raises(StreamtagError, match=r"is not quantised: 8 bits agree with float32 in .*% of the pictures"):
        quantise(bundle, bundle / "pictures", settings, lambda step: None)
    assert (bundle / "bundle.json").read_text() == before


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        (Quantisation("", 100, 0.9), r"agrees with float32 in 90\.0% of the pictures \(98\.0% asked\)"),
        (Quantisation("", 100, 0.98), "$"),
        (Quantisation("", 100, 0.99, 0.6, 0.62), r"60\.0% right, 2\.0 points less than float32 \(1 may be lost\)"),
        (Quantisation("", 100, 0.9, 0.61, 0.62), "$"),
        (Quantisation("", 100, 0.9, 0.63, 0.62), "$"),
    ],
)
def test_accuracy_judges_where_it_is_known_and_else_agreement(found: Quantisation, refusal: str) -> None:
    assert re.match(refusal, found.refusal(0.98))


def _noise(steps: Any, bundle: Path) -> Any:
    """The network with weights at random."""
    keras.utils.set_random_seed(3)  # others may give most pictures one class, and by chance the right one
    served = resolve(ModelSettings(name=str(bundle), weights="random"))
    return steps.convert(build_model(served, EngineSettings(name="openvino")), served)


@pytest.mark.long
def test_a_damaged_8_bit_form_and_other_weights_are_not_served(bundle: Path, tmp_path: Path) -> None:
    assert _served(bundle).quantised is not None
    assert resolve(ModelSettings(name=str(bundle), weights="random")).quantised is None
    for path in bundle.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    content = json.loads((tmp_path / "bundle.json").read_text())
    (weights,) = tmp_path.glob("network.int8-*.bin")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"not what bundle\.json says"):
        read_bundle(tmp_path)
    weights.write_bytes(whole)
    content["quantised"]["file"] = "../network.int8.xml"
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="in the bundle's own folder"):
        read_bundle(tmp_path)


@pytest.mark.long
def test_8_bits_that_a_processor_garbles_are_not_served(bundle: Path, tmp_path: Path) -> None:
    """As one without VNNI does with MobileNetV2; here the form is of a network with other weights."""
    from streamtag.tools import quantising_steps as steps  # noqa: PLC0415 - after their telemetry is forbidden

    served, engine = _served(bundle), EngineSettings(name="openvino", precision="int8", buckets=[2])
    steps.save(_noise(steps, bundle), tmp_path / "other.xml")
    garbled = replace(served, quantised=Quantised(str(tmp_path / "other.xml"), "0" * 64, 1.0))
    model = build_model(served, engine)
    assert compile_model(model, served, engine).engine.precision == "int8"
    with pytest.raises(ConfigError, match="this processor computes something else"):
        compile_model(model, garbled, engine)


def test_a_network_without_an_8_bit_form_says_how_to_make_one() -> None:
    demo, engine = resolve(ModelSettings(name="demo")), EngineSettings(name="openvino", precision="int8")
    with pytest.raises(ConfigError, match="streamtag models quantise"):
        compile_model(build_model(demo, engine), demo, engine)


@pytest.mark.long
def test_the_command_says_what_was_made(bundle: Path, settings: Settings, tmp_path: Path) -> None:
    given = ("--pictures", str(bundle / "pictures"), "--json")
    ran = run_cli(settings, "models", "quantise", str(bundle), *given)
    if ran.returncode:  # not every processor computes this network in 8 bits as it should
        assert ran.stdout == ""
        lost = r"\d% right, \d+\.\d points less than float32"
        garbled = r"8 bits agree with float32 in \d+\.\d% of the pictures, which is no rounding"
        assert re.search(rf"demo is not quantised: .*({lost}|{garbled})", ran.stderr), ran.stderr
    else:
        (line,) = json_lines(ran.stdout)
        assert line["agreement"] > 0.9
        assert line["accuracy"] >= line["accuracy_float32"] - 0.01
        shown = run_cli(settings, "models", "show", str(bundle), "--json")
        assert json_lines(shown.stdout)[0]["quantised"]["agreement"] == line["agreement"]
    few = _draw(tmp_path, read_bundle(bundle).labels, 1) / "star"
    none = run_cli(settings, "models", "quantise", str(bundle), "--pictures", str(few))
    assert none.returncode == 2
    assert "too few" in none.stderr

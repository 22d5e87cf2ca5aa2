"""A bundle's network in 8-bit integers: made after training, judged by pictures that had no part in it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from streamtag.core.engine_choice import GARBLED
from streamtag.errors import ConfigError, StreamtagError
from streamtag.extras import require
from streamtag.networks.bundle_file import BundleFile, QuantisedFile, read_bundle_file
from streamtag.networks.bundles import read_bundle, sha256
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import build_model
from streamtag.settings import Settings
from streamtag.tools.bundle_folder import held, put, stage
from streamtag.tools.own_pictures import read_pictures, true_classes

MOST = 600  # pictures taken of a folder; the odd ones judge
LEAST = 20
POINTS_LOST = 0.01  # of accuracy, at most, where the pictures say what they show
OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Quantisation:
    """What 8-bit integers do to a network, by the pictures that judge."""

    method: str
    pictures: int  # that judged
    agreement: float  # share whose best class is that of float32
    accuracy: float | None = None  # of 8 bits, where the pictures say what they show
    accuracy_float32: float | None = None

    def refusal(self, least_agreement: float) -> str:
        """Why it is not good enough; empty where it is."""
        if self.accuracy is not None and self.accuracy_float32 is not None:
            lost = round(self.accuracy_float32 - self.accuracy, 6)
            if lost > POINTS_LOST:
                return (
                    f"{self.accuracy:.1%} right, {100 * lost:.1f} points less than float32 "
                    f"({100 * POINTS_LOST:g} may be lost)"
                )
            return ""
        if self.agreement < least_agreement:
            return f"agrees with float32 in {self.agreement:.1%} of the pictures ({least_agreement:.1%} asked)"
        return ""


def quantise(folder: Path, pictures: Path, settings: Settings, on_step: OnStep) -> Quantisation:
    """Put an 8-bit form of its network into a bundle, if one is good enough. Each way is tried, the simplest first.

    Args:
        pictures: a folder or a video as the network will see them. Folders in it that are named as classes of the
            bundle say what their pictures show; then accuracy judges, and else agreement with float32.

    Raises:
        ConfigError: no bundle, too few pictures, a package is missing.
        StreamtagError: no way was good enough; the message has the figures.
    """
    require("models quantise")
    read_bundle_file(folder)  # what is no bundle is told as such
    with held(folder, force=True):
        return _best(folder, pictures, settings, on_step)


def _best(folder: Path, pictures: Path, settings: Settings, on_step: OnStep) -> Quantisation:
    content, bundle = read_bundle_file(folder), read_bundle(folder)
    on_step("reading the pictures")
    frames = read_pictures(pictures, settings, bundle.preprocessing, MOST)
    if len(frames) < LEAST:
        raise ConfigError(f"{pictures}: {len(frames)} pictures are too few to quantise by; at least {LEAST} are needed")
    given, truth = np.stack([frame.picture for frame in frames]), true_classes(frames, bundle.labels)
    model = build_model(
        bundle, settings.engine.model_copy(update={"name": "openvino"}), lambda step: on_step(str(step))
    )
    forbid_telemetry()
    with _silent():
        from streamtag.tools import quantising_steps as steps  # noqa: PLC0415 - OpenVINO, NNCF and Keras, an extra

    plain = steps.convert(model, bundle)
    on_step("float32 on all pictures")
    expected = steps.best_classes(plain, given)
    figures: list[Quantisation] = []
    for way in steps.WAYS:
        on_step(f"quantising: {way.name}")
        with _silent():
            made = way.quantise(plain, given[::2], expected[::2])
        on_step("judging by the other pictures")
        found = _judge(way.name, steps.best_classes(made, given[1::2]), expected[1::2], truth[1::2] if truth else None)
        figures.append(found)
        if found.agreement < GARBLED:  # the ways that follow would take long and end alike
            raise StreamtagError(
                f"{bundle.name} is not quantised: 8 bits agree with float32 in {found.agreement:.1%} of the pictures, "
                "which is no rounding: this processor computes something else with them. Try one with VNNI"
            )
        if not found.refusal(settings.engine.agreement_int8):
            on_step("storing")
            _store(folder, content, found, partial(steps.save, made))
            return found
    told = "; ".join(f"{one.method}: {one.refusal(settings.engine.agreement_int8)}" for one in figures)
    raise StreamtagError(f"{bundle.name} is not quantised: {told}")


def _silent() -> redirect_stdout[io.StringIO]:
    """NNCF logs to standard output and draws bars there, where our answer belongs alone."""
    return redirect_stdout(io.StringIO())


def _judge(method: str, best: np.ndarray, expected: np.ndarray, truth: list[int] | None) -> Quantisation:
    agreement = round(float((best == expected).mean()), 4)
    if truth is None:
        return Quantisation(method, len(best), agreement)
    shown = np.array(truth)
    right, right_float32 = (round(float((classes == shown).mean()), 4) for classes in (best, expected))
    return Quantisation(method, len(best), agreement, right, right_float32)


def _store(folder: Path, content: BundleFile, found: Quantisation, save: Callable[[Path], None]) -> None:
    """The files first, under names of their own, then ``bundle.json`` in one step, then what was there before goes."""
    try:
        with stage(folder) as new:
            made = new / "network.xml"
            save(made)
            hashes = sha256(made), sha256(made.with_suffix(".bin"))
            name = f"network.int8-{hashes[1][:12]}"
            made.replace(folder / f"{name}.xml")
            made.with_suffix(".bin").replace(folder / f"{name}.bin")
    except OSError as error:
        raise StreamtagError(f"{folder}: the 8-bit form cannot be stored: {error.strerror}") from None
    entry = QuantisedFile(
        file=f"{name}.xml",
        sha256=hashes[0],
        weights_sha256=hashes[1],
        agreement=found.agreement,
        accuracy=found.accuracy,
        accuracy_float32=found.accuracy_float32,
        pictures=found.pictures,
        method=found.method,
    )
    put(folder, content.model_copy(update={"quantised": entry}))

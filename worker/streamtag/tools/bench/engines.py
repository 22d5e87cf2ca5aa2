"""Images a second of each engine, as a ratio to Keras's ``predict`` in the same run, beside what one writes by hand.

All take turns, round after round: what else the machine does then disturbs all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import GARBLED, EngineChoice, EngineFigure, choose
from streamtag.errors import ConfigError
from streamtag.logs import quiet_stderr
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.choosing import agreement
from streamtag.networks.drawn import COMPARED, blots, until_enough
from streamtag.networks.engine_choices import EngineChoices
from streamtag.networks.engines.candidates import candidates
from streamtag.networks.engines.gpu import has_gpu
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import bundle_with_weights, compile_model
from streamtag.networks.random_weights import build_to_compare
from streamtag.settings import Settings

if TYPE_CHECKING:
    import keras

ROUNDS = 5
COMPARE_S = 20.0  # longer than a start has: Keras's ``predict``, which all are compared with, is slow
Run = Callable[[np.ndarray], np.ndarray]  # one batch, (batch, H, W, 3) uint8, to (batch, classes) float32


@dataclass(frozen=True, slots=True)
class EngineRow:
    """What one engine does, or why it is not there."""

    engine: str
    precision: str
    images_per_s: float = 0.0  # median of the rounds
    images_per_s_least: float = 0.0
    images_per_s_most: float = 0.0
    ratio: float = 0.0  # to Keras's predict, median over the rounds of both
    agreement: float = 0.0  # share of the pictures whose best class is that of Keras
    largest_difference: float = 0.0  # of any score, as a share of the picture's best score
    peer: bool = False  # written by hand beside ours
    chosen: bool = False  # by engine.name auto
    error: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, and the engine that ``auto`` takes here."""

    rows: list[EngineRow]
    choice: EngineChoice | None

    @property
    def to_peers(self) -> float | None:
        """The best of ours that agrees as well, by the best peer that computes this network and nothing else."""
        peers = [row for row in self.rows if row.peer and not row.error and row.agreement >= GARBLED]
        ours = [row for row in self.rows if not row.peer and not row.error]
        if not peers or not ours:
            return None
        best = max(peers, key=lambda row: row.images_per_s)
        equal = [row.images_per_s for row in ours if row.agreement >= min(1.0, best.agreement)]
        return round(max(equal, default=0.0) / best.images_per_s, 3)


@dataclass(slots=True)
class _Entrant:
    engine: str
    precision: str
    run: Run
    scores: np.ndarray
    rates: list[float]
    peer: bool


def compare(
    settings: Settings,
    batch: int,
    seconds: float,
    on_start: Callable[[str], None],
    pictures: np.ndarray | None = None,
    peers: bool = False,
    keep: bool = False,
) -> Comparison:
    """Time Keras's ``predict`` and each engine that this machine has.

    Args:
        batch: images in a batch.
        seconds: how long each is timed, all rounds together.
        on_start: told what is being done.
        pictures: real ones, (n, H, W, 3) uint8 RGB, whose labels must agree; drawn ones by default.
        peers: also what one would write by hand.
        keep: what is found here is what ``engine.name: auto`` takes from now on.

    Returns:
        Keras's ``predict`` first.

    Raises:
        StreamtagError: the model or its weights cannot be had.
    """
    open_settings = settings.engine.model_copy(update={"name": "auto"})
    bundle = bundle_with_weights(settings.model, lambda step: on_start(str(step)))
    compared = blots(max(batch, COMPARED), bundle.preprocessing.size) if pictures is None else pictures
    model = build_to_compare(bundle, settings.engine, lambda step: on_start(str(step)))
    forbid_telemetry()
    from streamtag.tools.bench import by_hand  # noqa: PLC0415 - Keras, whose backend is chosen first

    plain = by_hand.keras_predict(model, bundle)
    bench = _Bench(compared, batch, on_start, drawn=pictures is None)
    bench.enter("keras predict", "float32", lambda: plain, peer=True)
    choices = EngineChoices(settings.model, open_settings, bundle, weights_sha256(bundle))
    for name, precision in candidates(choices.machine, bundle, open_settings, has_gpu("tf_graph")):
        bench.enter(name, precision, partial(_compiled, settings, name, precision, model, bundle, batch))
    if peers:
        for name, precision, make in by_hand.peers(model, bundle, batch, pictures):
            bench.enter(name, precision, make, peer=True)
    rows = bench.rounds(seconds)
    chosen = choose(_figures(rows, bundle, real=pictures is not None), agreement(open_settings))
    if keep and chosen is not None:
        choices.keep(chosen)
    choice = choices.read() or chosen
    taken = (choice.engine, choice.precision) if choice else ()
    return Comparison([replace(row, chosen=(row.engine, row.precision) == taken) for row in rows], choice)


class _Bench:
    """Those who take part, compiled one after the other and timed in turns."""

    def __init__(self, pictures: np.ndarray, batch: int, on_start: Callable[[str], None], drawn: bool) -> None:
        self._pictures = pictures
        self._drawn = drawn
        self._batch = batch
        self._timed = np.resize(pictures, (batch, *pictures.shape[1:]))
        self._on_start = on_start
        self._entrants: list[_Entrant] = []
        self._absent: list[EngineRow] = []

    def enter(self, name: str, precision: str, make: Callable[[], Run], peer: bool = False) -> None:
        """Compile and try one; what cannot be had is noted with its reason."""
        self._on_start(f"compiling for {name} {precision}")
        try:
            with quiet_stderr():
                run = make()
        except (ConfigError, ImportError) as error:
            self._absent.append(EngineRow(name, precision, peer=peer, error=str(error)))
            return
        scores = np.concatenate([run(np.resize(part, self._timed.shape))[: len(part)] for part in self._parts()])
        self._entrants.append(_Entrant(name, precision, run, scores, [], peer))

    def rounds(self, seconds: float) -> list[EngineRow]:
        """Time all of them in turns, so many seconds each in all."""
        for number in range(1, ROUNDS + 1):
            for entrant in self._entrants:
                self._on_start(f"round {number} of {ROUNDS}: {entrant.engine} {entrant.precision}")
                entrant.rates.append(self._rate(entrant.run, seconds / ROUNDS))
        return [_row(entrant, self._entrants[0]) for entrant in self._entrants] + self._absent

    def _parts(self) -> Iterable[np.ndarray]:
        """Real pictures all of them, drawn ones as far as there is time."""
        if self._drawn:
            return until_enough(self._pictures, self._batch, COMPARE_S)
        return [self._pictures[at : at + self._batch] for at in range(0, len(self._pictures), self._batch)]

    def _rate(self, run: Run, seconds: float) -> float:
        run(self._timed)
        count, began_s = 0, time.perf_counter()
        while time.perf_counter() - began_s < seconds or count < 2:
            run(self._timed)
            count += 1
        return count * self._batch / (time.perf_counter() - began_s)


def _compiled(settings: Settings, name: str, precision: str, model: keras.Model, bundle: Bundle, batch: int) -> Run:
    chosen = settings.engine.model_copy(update={"name": name, "precision": precision, "buckets": [batch]})
    engine = compile_model(model, bundle, chosen).engine
    return lambda pictures: engine.dispatch(pictures).result()


def _row(entrant: _Entrant, plain: _Entrant) -> EngineRow:
    ratios = [rate / reference for rate, reference in zip(entrant.rates, plain.rates, strict=True)]
    compared = min(len(entrant.scores), len(plain.scores))
    scores, expected = entrant.scores[:compared], plain.scores[:compared]
    same = scores.argmax(axis=1) == expected.argmax(axis=1)
    difference = np.abs(scores - expected) / expected.max(axis=1, keepdims=True)
    return EngineRow(
        entrant.engine,
        entrant.precision,
        images_per_s=round(statistics.median(entrant.rates), 1),
        images_per_s_least=round(min(entrant.rates), 1),
        images_per_s_most=round(max(entrant.rates), 1),
        ratio=round(statistics.median(ratios), 2),
        agreement=round(float(same.mean()), 4),
        largest_difference=float(f"{difference.max():.2g}"),
        peer=entrant.peer,
    )


def _figures(rows: Sequence[EngineRow], bundle: Bundle, real: bool) -> list[EngineFigure]:
    """Ours, as ``auto`` judges them. Drawn pictures say nothing of 8 bits: there the bundle's own figure counts."""
    told = bundle.quantised.agreement if bundle.quantised else 0.0
    return [
        EngineFigure(
            row.engine,
            row.precision,
            row.images_per_s,
            row.agreement if real or row.precision != "int8" else told,
            row.error,
        )
        for row in rows
        if not row.peer
    ]

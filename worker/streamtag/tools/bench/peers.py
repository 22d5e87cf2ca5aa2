"""The same films through a worker and through loops written by hand, samples a second, in turns.

Ours is the whole way: jobs through Redis, decoder processes, batches, smoothing, results in Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamtag.errors import ConfigError, StreamtagError
from streamtag.logs import quiet_stderr
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import build_model, load
from streamtag.settings import Settings
from streamtag.tools.bench.own_worker import own_worker
from streamtag.tools.bench.turns import Spread, ratio

if TYPE_CHECKING:
    from streamtag.tools.bench.by_hand_loops import Loop

OURS = "streamtag"
KERAS, OPENVINO = "opencv + keras predict", "opencv + openvino async"
GOALS = {KERAS: 4.0, OPENVINO: 0.95}
Round = tuple[int, float]  # samples, and the seconds that they took
Run = Callable[[], Round]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One way through the films, or why it is not there."""

    way: str
    how: str = ""  # engine and precision, or sizes of batches
    samples: int = 0  # of a round
    samples_per_s: Spread | None = None
    ratio: float = 1.0  # ours to this one, median over the rounds
    goal: float = 0.0  # of the ratio
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    how: str
    run: Run


def compare(
    settings: Settings,
    films: Sequence[Path],
    every: int,
    batch: int,
    rounds: int,
    on_start: Callable[[str], None],
) -> list[PeerRow]:
    """Ours first, then the peers.

    Args:
        films: what is classified in each round, all of it.
        every: how many-th frame is a sample.
        batch: frames that Keras is given at once.

    Raises:
        StreamtagError: the network cannot be had, or a film cannot be read.
    """
    on_start("loading the network")
    network = load(settings, lambda step: on_start(str(step)), measure=True)
    model = build_model(network.bundle, settings.engine)
    forbid_telemetry()
    from streamtag.tools.bench import by_hand_loops  # noqa: PLC0415 - Keras, whose backend is chosen first

    makers: list[tuple[str, str, Callable[[], Loop]]] = [
        (KERAS, f"batches of {batch}", lambda: by_hand_loops.keras_loop(model, network.bundle, batch)),
        (
            OPENVINO,
            "float32 in, its own choice of precision",
            lambda: by_hand_loops.openvino_loop(model, network.bundle),
        ),
    ]
    chosen = f"{network.choice.engine} {network.choice.precision}"
    with own_worker(settings, network, slots=len(films)) as worker:
        ways, absent = [_Way(OURS, chosen, lambda: worker.publish(films, every))], []
        for name, how, make in makers:
            on_start(f"compiling {name}")
            try:
                with quiet_stderr():
                    ways.append(_Way(name, how, _timed(make(), films, every)))
            except ConfigError as error:
                absent.append(PeerRow(name, error=str(error)))
        found = _in_turns(ways, rounds, on_start)
    return [_row(way, found[way.name], found[OURS]) for way in ways] + absent


def _timed(loop: Loop, films: Sequence[Path], every: int) -> Run:
    def run() -> Round:
        began_s = time.monotonic()
        return loop(films, every), time.monotonic() - began_s

    return run


def _in_turns(ways: Sequence[_Way], rounds: int, on_start: Callable[[str], None]) -> dict[str, list[Round]]:
    """Every way in every round.

    Raises:
        StreamtagError: one of them found another number of samples than ours, so that nothing would be compared.
    """
    found: dict[str, list[Round]] = {way.name: [] for way in ways}
    for number in range(1, rounds + 1):
        for way in ways:
            on_start(f"round {number} of {rounds}: {way.name}")
            found[way.name].append(way.run())
    wanted = found[OURS][0][0]
    for name, told in found.items():
        if not wanted or any(samples != wanted for samples, _ in told):
            raise StreamtagError(f"{name}: {told[0][0]} samples where a worker has {wanted}; are the films whole?")
    return found


def _row(way: _Way, told: Sequence[Round], ours: Sequence[Round]) -> PeerRow:
    rates, own = ([samples / seconds for samples, seconds in rounds] for rounds in (told, ours))
    return PeerRow(way.name, way.how, told[0][0], Spread.of(rates, 1), ratio(own, rates), GOALS.get(way.name, 0.0))

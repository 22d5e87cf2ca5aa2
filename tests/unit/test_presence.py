"""What a worker says of itself, with a clock that tests turn and no device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from streamtag.core.lately import WorstLately
from streamtag.core.motion_gate import THUMBNAIL, MotionGate
from streamtag.metrics import Metrics
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.health import Health
from streamtag.pipeline.inference_loop import InferenceLoop
from streamtag.pipeline.presence import Presence
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Run, Runs
from streamtag.pipeline.slots import Slots

from tests.support.loops import Clock, run_of

STILL = bytes(THUMBNAIL[0] * THUMBNAIL[1] * THUMBNAIL[2])


def presence(runs: Runs, clock: Clock) -> Presence:
    network = SimpleNamespace(bundle=SimpleNamespace(name="toy"), engine=SimpleNamespace(name="null"))
    return Presence(
        "me",
        cast(LoadedNetwork, network),
        Slots("auto"),
        runs,
        cast(InferenceLoop, SimpleNamespace(per_s=lambda: 100.0)),
        WorstLately(),
        Metrics(),
        Health(60.0),
        cast(Room, SimpleNamespace(short=False)),
        clock,
    )


def camera(name: str, *gates: MotionGate) -> Run:
    run = run_of(name, f"rtsp://{name}/1")
    return Run(run.claim, run.track, run.stream, 2.0, list(gates))


def test_what_a_motion_gate_spares_is_not_among_what_is_asked() -> None:
    clock, runs, gate = Clock(), Runs(), MotionGate(0.02, 1e6)
    watched = camera("still", gate)
    for run in (watched, camera("plain")):
        runs.add(run)
    me = presence(runs, clock)
    assert me.look((), 0).asked == 4.0
    for second in range(120):
        clock.now_s += 1.0
        for half in range(2):
            gate.look(2 * second + half + 1, second + half / 2, STILL)
        said = me.look((), 0)
    assert (watched.asked, said.asked) == (0.5, 2.5)

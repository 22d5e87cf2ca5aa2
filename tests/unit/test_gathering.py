"""How long what live streams say waits for company."""

from __future__ import annotations

import pytest
from streamtag.core.options import BatchingSettings
from streamtag.pipeline.gathering import CROWDED, Gathering
from streamtag.pipeline.run import Runs

from tests.support.loops import Clock, run_of

BATCH, COMMIT_S = 8, 0.25


def gathering(streams: int, asked: float, least_s: float = 0.05) -> float:
    runs = Runs()
    for number in range(streams):
        run = run_of(f"cam-{number}", "rtsp://cam/1")
        run.asked = asked
        runs.add(run)
    return Gathering(runs, BatchingSettings(live_delay_s=least_s), COMMIT_S, BATCH).period_s()


@pytest.mark.parametrize(
    ("streams", "asked", "period_s"),
    [
        (0, 0.0, 0.05),
        (1, 1.0, 0.05),  # what little there is to share is not worth the wait
        (8, 0.1, COMMIT_S * 8 / CROWDED),
        (48, 0.1, COMMIT_S),  # nobody waits for longer than a commit may take
        (48, 1.0, BATCH / 48),  # a full batch has come together
        (48, 10.0, 0.05),
    ],
)
def test_it_is_as_long_as_a_batch_takes_to_come_together_within_bounds(
    streams: int, asked: float, period_s: float
) -> None:
    assert gathering(streams, asked) == pytest.approx(period_s)


def test_where_nothing_is_to_wait_nothing_does() -> None:
    assert gathering(48, 1.0, least_s=0.0) == 0.0


def test_streams_that_come_are_seen_within_a_second() -> None:
    runs, clock = Runs(), Clock()
    looked = Gathering(runs, BatchingSettings(live_delay_s=0.05), COMMIT_S, BATCH, clock)
    assert looked.period_s() == pytest.approx(0.05)
    for number in range(CROWDED):
        runs.add(run_of(f"cam-{number}", "rtsp://cam/1"))
    clock.now_s += 1.0
    assert looked.period_s() == pytest.approx(BATCH / (2.0 * CROWDED))

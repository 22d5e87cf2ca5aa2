"""The intake loop: what goes wrong about one stream is that stream's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamtag.core.stream_state import Outcome, OutcomeKind
from streamtag.ingest.intake import Intake

from tests.support.loops import FakeStream


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake()
    yield made
    made.close()


def add(intake: Intake, *streams: FakeStream) -> None:
    for stream in streams:
        intake.add(stream.as_stream())


def test_a_stream_whose_handling_raises_is_broken_off_and_the_others_go_on(intake: Intake) -> None:
    def fail(what: str) -> None:
        raise KeyError(what)

    bad, good = FakeStream(on_ask=fail), FakeStream()
    add(intake, bad, good)
    intake.run_once()
    assert bad.asked == ["start", "break_off 'start'", "check", "break_off 'check'"]
    assert good.asked == ["start", "check"]


def test_what_is_short_is_the_workers_own_affair(intake: Intake) -> None:
    def fail(what: str) -> None:
        if what == "start":
            raise MemoryError

    add(intake, FakeStream(on_ask=fail))
    with pytest.raises(MemoryError):
        intake.run_once()


def test_streams_are_stopped_and_killed_in_its_own_turn_and_forgotten_once_they_are_over(intake: Intake) -> None:
    stopped, killed = FakeStream(), FakeStream()
    add(intake, stopped, killed)
    intake.run_once()
    intake.stop(stopped.as_stream())
    intake.kill(killed.as_stream())
    assert "stop" not in stopped.asked
    intake.run_once()
    assert stopped.asked == ["start", "check", "stop", "check"]
    assert killed.asked == ["start", "check", "kill", "check"]
    stopped.outcome = Outcome(OutcomeKind.STOPPED)
    intake.run_once()
    intake.run_once()
    assert stopped.asked.count("check") == 3

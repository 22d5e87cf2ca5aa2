"""A stream between its state machine and its decoder sessions, which here say what a test has written down."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from streamtag.core.bundle import Preprocessing
from streamtag.core.failure import Failure, FailureCause, FailureKind
from streamtag.core.options import SamplingSettings
from streamtag.core.records import Sample, StreamState
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.ingest import stream as stream_module
from streamtag.ingest import wire
from streamtag.ingest.request import Request
from streamtag.ingest.stream import FramesDecoded, SampleReady, Stream, StreamEvent, Unclassified
from streamtag.settings import SourceSettings

from tests.support.loops import Clock, claim

SETTINGS = SourceSettings(attempts=2, backoff_s=0.001)
Said = list[wire.Message] | None


def sample(number: int) -> wire.SampleMessage:
    return wire.SampleMessage(Sample(number * 5, number * 0.2, 1e9, number, 0.0, number * 5 + 1, number + 1), 0, 0.5, 0)


@dataclass
class Script:
    """What the sessions of a stream do, one after another."""

    sessions: list[list[Said]] = field(default_factory=list)
    no_room: int = 0
    fork_server_dies: bool = False
    requests: list[Request] = field(default_factory=list)
    closed: int = 0


@dataclass
class Bench:
    script: Script
    source: str = "clip.mp4"
    clock: Clock = field(default_factory=Clock)
    events: list[StreamEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stream = Stream(
            claim("j", self.source),
            Preprocessing(8),
            SETTINGS,
            SamplingSettings(),
            self.events.append,
            now_s=self.clock,
        )

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def outcome(self) -> Outcome:
        (outcome,) = [event for event in self.events if isinstance(event, Outcome)]
        assert self.events[-1] is outcome or isinstance(self.events[-1], FramesDecoded)
        return outcome

    def later(self, seconds: float = 60.0) -> None:
        self.clock.now_s += seconds
        self.stream.check()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    found = Script()

    class Session:
        def __init__(self, request: Request, decode: object) -> None:
            found.requests.append(request)
            self.said = found.sessions.pop(0) if found.sessions else []

        def start(self) -> None:
            if found.no_room:
                found.no_room -= 1
                raise OSError(11, "Resource temporarily unavailable")

        def receive(self) -> Said:
            return self.said.pop(0) if self.said else []

        def kill(self) -> None:
            self.said.append(None)

        def close(self) -> None:
            found.closed += 1

        def how_it_ended(self) -> str:
            return "signal 11"

        def fork_server_died(self) -> bool:
            return found.fork_server_dies

    monkeypatch.setattr(stream_module, "DecoderSession", Session)
    return found


def test_what_a_decoder_says_becomes_events_in_order(script: Script) -> None:
    failed = wire.FrameFailed(5, 0.2, 1e9, 6, 2, "corrupt", "torn", "a.png")
    script.sessions = [[[wire.Opened(64, 64, 25.0, 20), sample(0)], [failed, sample(2)], [wire.Ended(20, 3, "note")]]]
    bench = Bench(script)
    bench.stream.start()
    while bench.stream.receive():
        pass
    assert bench.kinds() == [
        *("StateChanged", "SampleReady", "FramesDecoded"),
        *("Unclassified", "SampleReady", "FramesDecoded"),
        *("Outcome", "FramesDecoded"),
    ]
    assert sum(event.count for event in bench.events if isinstance(event, FramesDecoded)) == 20
    (lost,) = [event for event in bench.events if isinstance(event, Unclassified)]
    assert (lost.dropped, lost.reason, lost.sample.path, lost.sample.sampled) == (False, "corrupt", "a.png", 2)
    assert bench.outcome() == Outcome(OutcomeKind.ENDED, 20, 3, "note")
    assert (script.closed, bench.stream.session) == (1, None)


def test_a_source_is_read_on_where_it_broke_off(script: Script) -> None:
    script.sessions = [[[sample(0), sample(1)], None], [[sample(2)], [wire.Ended(15, 3, "")]]]
    bench = Bench(script)
    bench.stream.start()
    bench.stream.receive()
    bench.stream.receive()
    assert bench.stream.session is None
    bench.later()
    bench.stream.receive()
    bench.stream.receive()
    assert [request.resume_index for request in script.requests] == [-1, 5]
    assert bench.outcome().kind is OutcomeKind.ENDED
    changes = {event.detail: event.failure for event in bench.events if isinstance(event, StateChanged)}
    died = changes["the decoder process died (signal 11) at frame 6"]
    assert died is not None
    assert died.cause is FailureCause.DIED


def test_nothing_counts_after_a_last_word(script: Script) -> None:
    script.sessions = [[[wire.DecoderFailed(FailureKind.REJECT, "no video"), sample(0), wire.Ended(9, 9, "")]]]
    bench = Bench(script)
    bench.stream.start()
    bench.stream.receive()
    assert bench.kinds() == ["Outcome"]
    failure = Failure(FailureCause.REJECTED, opened=False)
    assert bench.outcome() == Outcome(OutcomeKind.REJECTED, 0, 0, "no video", failure)


def test_a_stopped_stream_gives_what_its_decoder_has_delivered_and_is_no_failure(script: Script) -> None:
    script.sessions = [[[sample(0)], [sample(1), wire.DecoderFailed(FailureKind.REJECT, "killed")]]]
    bench = Bench(script)
    bench.stream.start()
    bench.stream.stop()
    assert [event.sample.index for event in bench.events if isinstance(event, SampleReady)] == [0, 5]
    assert bench.outcome() == Outcome(OutcomeKind.STOPPED, 6, 2)
    bench.later(1000.0)
    assert len(script.requests) == 1


def test_a_killed_stream_tells_nothing_more(script: Script) -> None:
    script.sessions = [[[sample(0)]]]
    bench = Bench(script)
    bench.stream.start()
    bench.stream.kill()
    bench.stream.receive()
    bench.later(1000.0)
    assert bench.events == []
    assert bench.stream.outcome is not None


def test_a_machine_without_room_and_a_dead_fork_server_use_up_no_attempt(script: Script) -> None:
    script.no_room = 5
    for _ in range(5):
        script.sessions.append([])
    for _ in range(5):
        script.sessions.append([None])
    script.sessions.append([[wire.Ended(0, 0, "")]])
    script.fork_server_dies = True
    bench = Bench(script)
    bench.stream.start()
    for _ in range(11):
        bench.stream.receive()
        bench.later()
    assert bench.outcome().kind is OutcomeKind.ENDED
    assert len(script.requests) == 11


def test_a_silent_decoder_is_killed_by_the_watchdog(script: Script) -> None:
    bench = Bench(script, source="rtsp://cam/1")
    bench.stream.start()
    bench.later(SETTINGS.watchdog_s + 1)
    assert script.closed == 1
    (change,) = [event for event in bench.events if isinstance(event, StateChanged)]
    assert change.state is StreamState.RECONNECTING
    assert change.failure == Failure(FailureCause.SILENT, opened=False)
    assert bench.stream.healthy


def test_what_nobody_foresaw_ends_the_connection_and_after_some_attempts_the_job(script: Script) -> None:
    bench = Bench(script)
    bench.stream.start()
    bench.stream.break_off(KeyError("slot"))
    assert bench.stream.outcome is None
    bench.later()
    bench.stream.break_off(KeyError("slot"))
    assert bench.outcome().kind is OutcomeKind.REJECTED
    assert "KeyError" in bench.outcome().reason
    assert bench.outcome().failure == Failure(FailureCause.INTERNAL, opened=False)

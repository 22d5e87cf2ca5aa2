"""Live streams stay with their camera, and what is said of their age is true. The pictures show when they were made."""

from __future__ import annotations

import itertools
import socket
import statistics
import time
from typing import Literal

import psutil
import pytest
from streamtag.core.gaps import GapReason
from streamtag.core.job import Sampling
from streamtag.core.records import StreamState
from streamtag.ingest import decoder
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.slots import SlotMemory
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support.rtsp import clock_cameras
from tests.support.stream_reading import Heard, read
from tests.support.watching import SLOW_S, WHOLE, decode_slowly, seen, watch

# Machines that run tests are busy: what is late by so much is not late for the reason that is tested.
SLACK_S = 4.0
PATIENT = SourceSettings(lag_budget_s=30)


def test_a_decoder_that_is_too_slow_stays_within_its_budget_and_says_what_it_missed() -> None:
    budget_s, samples = 1.0, 40  # at 5 a second, of 25: the last would be more than 6 s late

    def enough(heard: Heard) -> bool:
        return len(heard.samples) >= samples

    with clock_cameras(cam={"fps": 25}) as cameras:
        settings = SourceSettings(lag_budget_s=budget_s)
        heard = watch(cameras.url("cam"), Sampling(fps=25), enough, settings, decode_slowly)
    watched = seen(heard)
    assert samples * (SLOW_S - 1 / 25) > budget_s + 1 + SLACK_S
    assert max(one.lag_s for one in watched) < budget_s + 1 + SLACK_S
    assert {lost.reason for lost in heard.unclassified} == {"lagging"}
    assert GapReason.LAGGING in heard.gaps
    numbers = sorted([one.sampled for one in heard.samples] + [lost.sample.sampled for lost in heard.unclassified])
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("stopped", ["decoder", "gate", "both"])
def test_what_lay_there_while_nobody_had_the_processor_is_not_taken_for_new(stopped: str) -> None:
    stop_s, there = 5.0, 50
    moments_s: list[float] = []  # when the processes stopped, and when they went on

    def stop_it(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= there and stream.session is not None and not moments_s:
            processes = at_work(stream.session, stopped)
            moments_s.append(time.time())
            for one in processes:
                one.suspend()
            time.sleep(stop_s)
            moments_s.append(time.time())
            for one in processes:
                one.resume()
        if moments_s and heard.taken_unix_s[-1] > moments_s[1] + 5:
            stream.stop()

    with clock_cameras(cam={"fps": 25}) as cameras:
        heard = read(cameras.url("cam"), Sampling(fps=25), PATIENT, meddle=stop_it, preprocessing=WHOLE)
    waited = [one for one in seen(heard) if moments_s[0] + 0.5 < one.shown_unix_s < moments_s[1] - stop_s / 2]
    assert waited, "what came meanwhile is not lost"
    assert max(one.error_s for one in waited) < stop_s / 2
    assert min(one.error_s for one in waited) > -1


def at_work(session: DecoderSession, which: str) -> list[psutil.Process]:
    """The processes of a stream: its decoder, its gate or both, which have the same parent."""
    decoder = psutil.Process(session.pid)
    beside = [one for one in psutil.Process(decoder.ppid()).children() if one.pid != decoder.pid]
    return {"decoder": [decoder], "gate": beside, "both": [decoder, *beside]}[which]


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_a_camera_is_open_with_its_first_frame_and_each_is_stamped_with_the_time_of_its_arrival(codec: str) -> None:
    """FFmpeg would look at two dozen frames to guess their rate, and at two a second they would be 5.5 s old."""
    with clock_cameras(cam={"codec": codec, "fps": 2}) as cameras:
        heard = watch(cameras.url("cam"), Sampling(fps=2), lambda heard: len(heard.samples) >= 5, PATIENT)
    watched = seen(heard)
    assert min(one.error_s for one in watched) > -0.01
    assert statistics.median(one.error_s for one in watched) < SLACK_S  # the first waits for its encoder to start
    assert heard.unclassified == []
    assert [one.sample.pts_s for one in watched] == sorted({one.sample.pts_s for one in watched})


@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("h264", "udp"), ("h265", "tcp")])
def test_a_picture_does_not_wait_for_the_next_one(codec: str, transport: Literal["tcp", "udp"]) -> None:
    """FFmpeg sees its end in the beginning of the next, and it was called new then: at this rate 2 s late."""
    settings = PATIENT.model_copy(update={"rtsp_transport": transport})
    with clock_cameras(cam={"codec": codec, "fps": 0.5, "key_frames": 3}) as cameras:
        heard = watch(cameras.url("cam"), Sampling(fps=2), lambda heard: len(heard.samples) >= 6, settings)
    watched = seen(heard)
    assert statistics.median(one.lag_s for one in watched) < 1
    assert all(-0.01 < one.error_s < 1 for one in watched[1:])
    assert heard.unclassified == []
    assert heard.gaps == []
    for before, after in itertools.pairwise(watched[1:]):
        assert after.sample.pts_s - before.sample.pts_s == pytest.approx(
            after.shown_unix_s - before.shown_unix_s, abs=0.2
        )


def test_what_a_camera_had_kept_is_not_taken_for_new() -> None:
    old_s = 8.0
    with clock_cameras(cam={"fps": 5, "old_frames": int(old_s * 5), "key_frames": 5}) as cameras:
        heard = watch(cameras.url("cam"), Sampling(fps=5), lambda heard: len(heard.samples) >= 5, PATIENT)
    assert heard.samples[0].index > 5  # it was sent what it had kept
    assert all(one.error_s < SLACK_S for one in seen(heard))


@pytest.mark.parametrize("speed", [pytest.param(0.5, marks=pytest.mark.long), 2.0])
def test_the_rate_asked_for_is_that_of_our_clock_whatever_the_camera_s(speed: float) -> None:
    """Its first seconds are left out: the speed of a clock has to be learnt."""
    with clock_cameras(cam={"fps": 10, "speed": speed}) as cameras:
        heard = watch(cameras.url("cam"), Sampling(fps=2), lambda heard: len(heard.samples) >= 22, PATIENT)
    later = [one.sample for one in seen(heard)][6:]
    wall_s = later[-1].captured_unix_s - later[0].captured_unix_s
    assert (len(later) - 1) / wall_s == pytest.approx(2, rel=0.1)
    assert later[-1].pts_s - later[0].pts_s == pytest.approx(wall_s, rel=0.05)


def test_a_clock_that_is_set_moves_nothing() -> None:
    with clock_cameras(cam={"fps": 10, "jump_after_s": 2, "jump_s": 1000}) as cameras:
        heard = watch(cameras.url("cam"), Sampling(fps=5), lambda heard: len(heard.samples) >= 25, PATIENT)
    steps_s = [after.pts_s - before.pts_s for before, after in itertools.pairwise(heard.samples)]
    assert min(steps_s) > 0
    assert sum(steps_s) < 60
    assert heard.gaps == []


def open_late(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """A decoder whose later connections take their time to open."""
    if request.decoded:
        time.sleep(OPENING_S)
    decoder.main(request, parent, memory)


OPENING_S = 3.0


def test_presentation_time_goes_on_by_our_clock_however_long_the_next_connection_takes_to_open() -> None:
    """It went on with the beginning of each connection, and was that much too early."""
    there = 10

    def break_off(stream: Stream, heard: Heard) -> None:
        if stream.session is not None and len(heard.samples) >= there and StreamState.RECONNECTING not in heard.states:
            stream.session.kill()
        if len(heard.samples) >= there + 10 and heard.gaps:
            stream.stop()

    with clock_cameras(cam={"fps": 10}) as cameras:
        settings = PATIENT.model_copy(update={"backoff_s": 0.05})
        heard = read(
            cameras.url("cam"), Sampling(fps=5), settings, meddle=break_off, preprocessing=WHOLE, decode=open_late
        )
    assert heard.gaps == [GapReason.RECONNECT]
    shown = [(one.sample.pts_s, one.shown_unix_s) for one in seen(heard)]
    (first_pts_s, first_s), *later = shown
    assert later[-1][1] - first_s > OPENING_S
    assert max(abs((pts_s - first_pts_s) - (shown_s - first_s)) for pts_s, shown_s in later) < 1
    assert [pts_s for pts_s, _ in shown] == sorted({pts_s for pts_s, _ in shown})

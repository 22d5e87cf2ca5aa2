"""What is said of cameras that fall silent, hang or refuse, and how soon; against real and scripted RTSP servers."""

from __future__ import annotations

import signal
import time
from itertools import groupby, pairwise

import numpy as np
import pytest
from streamtag.core.gaps import GapReason
from streamtag.core.job import Sampling
from streamtag.core.records import StreamState
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support import RtspServer
from tests.support.rtsp import clock_cameras
from tests.support.scripted_rtsp import scripted_rtsp
from tests.support.stream_reading import Heard, read

FIVE = Sampling(fps=5)
TIMEOUT_S = 5.0
IMPATIENT = SourceSettings(read_timeout_s=TIMEOUT_S, open_timeout_s=TIMEOUT_S, backoff_s=0.05)
# Machines that run tests are busy: what is late by so much is not late for the reason that is tested, which would be
# twice the timeout.
SLACK_S = 3.0


def given_up(heard: Heard, since_s: list[float]) -> tuple[float, str] | None:
    """How long after a moment, which may be still to come, a stream was given up, and why."""
    for state, at_s, detail in zip(heard.states, heard.states_at_s, heard.details, strict=True):
        if state is StreamState.RECONNECTING and since_s and at_s > since_s[0]:
            return at_s - since_s[0], detail
    return None


def test_a_server_that_stops_is_given_up_within_its_read_timeout_and_a_second(camera: RtspServer) -> None:
    stopped_s: list[float] = []

    def stop_it(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= 10 and not stopped_s:
            camera.signal(signal.SIGSTOP)
            stopped_s.append(time.monotonic())
        if given_up(heard, stopped_s):
            stream.stop()

    found = given_up(
        read(camera.url("ball"), FIVE, SourceSettings(read_timeout_s=TIMEOUT_S), meddle=stop_it), stopped_s
    )
    assert found is not None
    assert found[0] < TIMEOUT_S + 1 + SLACK_S
    assert "nothing came for" in found[1]


@pytest.mark.parametrize(("path", "last", "timeouts"), [("mute-describe", "DESCRIBE", 1), ("mute-play", "PLAY", 2)])
def test_a_server_that_says_nothing_is_given_up(path: str, last: str, timeouts: int) -> None:
    """That of opening, and where it seems to play that of reading, too."""
    began_s: list[float] = []

    def wait(stream: Stream, heard: Heard) -> None:
        if not began_s and server.asked[last, path]:
            began_s.append(time.monotonic())
        if given_up(heard, began_s):
            stream.stop()

    with scripted_rtsp() as server:
        heard = read(server.url(path), FIVE, IMPATIENT, meddle=wait)
    found = given_up(heard, began_s)
    assert found is not None
    assert found[0] < timeouts * TIMEOUT_S + 1 + SLACK_S
    assert heard.samples == []


def test_seconds_without_frames_on_an_open_connection_are_a_gap(camera: RtspServer) -> None:
    """The server stops and goes on before anybody gives up."""
    moments_s: list[float] = []

    def pause_it(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= 10 and not moments_s:
            camera.signal(signal.SIGSTOP)
            moments_s.append(time.monotonic())
        if len(moments_s) == 1 and time.monotonic() - moments_s[0] > 7.5:
            camera.signal(signal.SIGCONT)
            moments_s.append(time.monotonic())
        if len(moments_s) == 2 and (heard.gaps or len(heard.samples) >= 40):
            stream.stop()

    heard = read(camera.url("ball"), FIVE, meddle=pause_it)
    # A machine that is busy may find them late, too.
    assert heard.gaps in ([GapReason.SILENCE], [GapReason.LAGGING])
    assert StreamState.STALLED in heard.states


def test_a_decoder_that_is_replaced_leaves_a_gap(camera: RtspServer) -> None:
    killed: list[int] = []

    def kill(stream: Stream, heard: Heard) -> None:
        if stream.session is not None and len(heard.samples) >= 10 and not killed:
            killed.append(stream.session.pid)
            stream.session.kill()
        if len(heard.samples) >= 20:
            stream.stop()

    heard = read(camera.url("ball"), FIVE, meddle=kill)
    assert heard.gaps == [GapReason.RECONNECT]
    times = [sample.pts_s for sample in heard.samples]
    assert all(before < after for before, after in pairwise(times))


@pytest.mark.long
def test_a_camera_is_not_frozen_while_something_moves_outside_of_what_the_network_sees(camera: RtspServer) -> None:
    """The ball is for nearly three seconds beside the middle of the frame, which is all that the network is given."""

    def enough(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= 80:
            stream.stop()

    heard = read(camera.url("ball"), FIVE, SourceSettings(frozen_s=1.5), meddle=enough)
    differences = [float(np.abs(one.astype(int) - other).mean()) for one, other in pairwise(heard.pictures)]
    runs = [len(list(group)) for still, group in groupby(differences, lambda difference: difference < 0.3) if still]
    assert max(runs) >= 9, "the network sees no still picture for long enough, so nothing was tried"
    assert StreamState.FROZEN not in heard.states


def test_a_camera_that_hangs_is_frozen_though_its_encoder_goes_on(camera: RtspServer) -> None:
    def enough(stream: Stream, heard: Heard) -> None:
        if StreamState.FROZEN in heard.states or len(heard.samples) > 100:
            stream.stop()

    heard = read(camera.url("hung"), FIVE, SourceSettings(frozen_s=2.0), meddle=enough)
    assert heard.states[-1] is StreamState.FROZEN
    different = [one for one, other in pairwise(heard.pictures) if (one != other).any()]
    assert different, "the pictures are not the very same"


def test_a_password_that_is_refused_is_tried_twice_and_then_seldom() -> None:
    """Before, some tries a second: cameras lock an account after a handful."""
    refused_s: list[float] = []

    def wait(stream: Stream, heard: Heard) -> None:
        if StreamState.AUTH_FAILED in heard.states and not refused_s:
            refused_s.append(time.monotonic())
        if refused_s and time.monotonic() - refused_s[0] > 5:
            stream.stop()

    with scripted_rtsp() as server:
        heard = read(server.url("refused", "viewer:wrong@"), FIVE, IMPATIENT, meddle=wait)
        asked = server.asked["DESCRIBE", "refused"] + server.asked["OPTIONS", "refused"]
    assert heard.states.count(StreamState.AUTH_FAILED) == 2
    assert 2 <= asked <= 4, "a connection asks without and then with the password"


@pytest.mark.long
@pytest.mark.parametrize(
    ("camera_of", "sampling"),
    [
        ({"fps": 0.15, "key_frames": 1}, Sampling(fps=2)),
        ({"fps": 10, "key_frames": 120}, Sampling(keyframes=True)),
    ],
    ids=["a picture every 6.7 s", "key frames every 12 s"],
)
def test_slow_is_not_stalled(camera_of: dict[str, float], sampling: Sampling) -> None:
    def enough(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= 4 or len(heard.states) > 1:
            stream.stop()

    with clock_cameras(slow=camera_of) as cameras:
        heard = read(cameras.url("slow"), sampling, meddle=enough)
    assert heard.states == [StreamState.LIVE]
    assert heard.gaps == []
    assert len(heard.samples) >= 4

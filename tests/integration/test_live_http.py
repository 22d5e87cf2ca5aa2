"""Live sources of web servers: playlists that go on for ever, and cameras that send picture after picture."""

from __future__ import annotations

import itertools
import signal
import socket
import statistics
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.client import Client
from streamtag.core.gaps import GapReason
from streamtag.core.job import Sampling
from streamtag.core.records import JobStatus, StreamState
from streamtag.core.stream_state import OutcomeKind
from streamtag.ingest.stream import Stream
from streamtag.settings import Settings, SourceSettings

from tests.support import NULL, Worker, eventually, start_worker
from tests.support.hls import LivePlaylist, write_hls
from tests.support.odd_camera import FPS, SQUARES, TS_BYTES, damage, transport_stream_of_squares
from tests.support.stream_reading import Heard, read
from tests.support.traps import Trap
from tests.support.watching import watch
from tests.support.web import served

FRAMES_A_SECOND = 5


def send_pictures(connection: socket.socket) -> None:
    """A camera that sends pictures without times, five a second."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
    for number in range(10_000):
        picture = np.full((90, 160, 3), number * 40 % 256, np.uint8)
        content = cv2.imencode(".jpg", picture)[1].tobytes()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content + b"\r\n")
        time.sleep(1 / FRAMES_A_SECOND)


def test_pictures_without_times_go_by_the_time_of_their_arrival() -> None:
    """FFmpeg counts them as 25 a second, of which five asked for a second became one."""
    began_s = time.monotonic()

    def stop_in_time(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) >= 20 or time.monotonic() - began_s > 60:
            stream.stop()

    with Trap("127.0.0.1", send_pictures) as camera:
        found = read(f"http://{camera.address}/video", Sampling(fps=FRAMES_A_SECOND), live=True, meddle=stop_in_time)
    assert len(found.samples) >= 20
    first, last = found.samples[0], found.samples[-1]
    shown_s, real_s = last.pts_s - first.pts_s, last.captured_unix_s - first.captured_unix_s
    assert shown_s == pytest.approx(real_s, rel=0.1)
    assert last.index - first.index < 2 * (last.sampled - first.sampled)  # most of them are samples


def send_half_of_some(connection: socket.socket) -> None:
    """The same of which each third is cut in the middle."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
    whole = cv2.imencode(".jpg", np.kron(SQUARES, np.ones((4, 4, 1), np.uint8)))[1].tobytes()
    for number in range(10_000):
        content = whole if number % 3 else whole[: len(whole) // 2]
        connection.sendall(f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        connection.sendall(content + b"\r\n")
        time.sleep(1 / FRAMES_A_SECOND)


def test_a_picture_that_was_cut_fails() -> None:
    """It was labelled as if it were whole: the codec fills up what is missing, and does not call that damaged."""
    with Trap("127.0.0.1", send_half_of_some) as camera:
        heard = watch(
            f"http://{camera.address}/video",
            Sampling(fps=FRAMES_A_SECOND),
            lambda heard: len(heard.unclassified) >= 3 and len(heard.samples) >= 6,
            live=True,
        )
    assert {one.reason for one in heard.unclassified} == {"corrupt"}
    assert max(map(damage, heard.pictures)) < 12


def send_lossy(codec: str, connection: socket.socket) -> None:
    """A transport stream of squares that move, of which one packet in 37 never comes."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
    packets = 0
    for content in transport_stream_of_squares(codec, 400):
        for begin in range(0, len(content), TS_BYTES):
            packets += 1
            if packets % 37:
                connection.sendall(content[begin : begin + TS_BYTES])
        time.sleep(1 / FPS)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_picture_of_which_a_part_was_lost_fails_and_so_do_those_that_need_it(codec: str) -> None:
    """A seventh of them (H.264) and a third (H.265) were labelled as if they were whole."""
    with Trap("127.0.0.1", partial(send_lossy, codec)) as camera:
        heard = watch(
            f"http://{camera.address}/live.ts",
            Sampling(fps=5),
            lambda heard: len(heard.unclassified) >= 6 < len(heard.samples),
            SourceSettings(lag_budget_s=30),
            live=True,
        )
    assert {one.reason for one in heard.unclassified} == {"corrupt"}
    assert max(map(damage, heard.pictures)) < 12


def test_frames_of_a_segment_are_as_old_as_their_times_say_though_they_come_all_at_once(tmp_path: Path) -> None:
    """Each was stamped with when it was read: all of a second in a few milliseconds."""
    playlist = write_hls(tmp_path / "web", 60.0)
    with served(tmp_path / "web") as web, LivePlaylist(playlist):
        url = f"{web.url}/live.m3u8"
        heard = watch(url, Sampling(fps=5), lambda heard: len(heard.samples) >= 20, live=True)
    steps_s = [
        (after.captured_unix_s - before.captured_unix_s) - (after.pts_s - before.pts_s)
        for before, after in itertools.pairwise(heard.samples)
    ]
    assert statistics.median(map(abs, steps_s)) < 0.02, steps_s


def test_of_the_variants_of_a_playlist_one_is_read_on(tmp_path: Path) -> None:
    """All of them were downloaded, for as long as the job ran."""
    first, other = (write_hls(tmp_path / name, 40.0) for name in ("first", "other"))
    names = "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=100000\n{name}/live.m3u8\n" for name in ("first", "other"))
    (tmp_path / "all.m3u8").write_text(f"#EXTM3U\n{names}")
    with served(tmp_path) as web, LivePlaylist(first), LivePlaylist(other):
        heard = watch(f"{web.url}/all.m3u8", Sampling(fps=5), lambda heard: len(heard.samples) >= 20, live=True)
        read_on = [path for path, _ in web.requests if path.startswith("/other/") and path.endswith(".ts")]
    assert heard.unclassified == []
    assert len(read_on) <= 1  # FFmpeg looks at its beginning


@pytest.mark.long
def test_a_playlist_that_goes_on_is_a_live_job_also_for_its_next_owner(
    client: Client, settings: Settings, workers: list[Worker], tmp_path: Path
) -> None:
    playlist = write_hls(tmp_path / "web", 60.0)
    with served(tmp_path / "web") as web, LivePlaylist(playlist):
        first = start_worker(workers, settings, *NULL)
        job = client.submit(f"{web.url}/live.m3u8").job_id
        eventually(lambda: len(list(client.results(job))) > 5, "it is tagged")
        ids = [int(result.id.split("-")[0]) for result in client.results(job)]
        assert abs(ids[-1] / 1000 - time.time()) < 60  # the time of capture, as of live sources only
        assert ids == sorted(ids)
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
        seen = len(list(client.results(job)))
        start_worker(workers, settings, *NULL)
        eventually(lambda: len(list(client.results(job))) > seen + 3, "its next owner goes on")
        assert client.status(job).status is JobStatus.RUNNING
        assert "gap" in [event.kind for event in client.events(job)]


def test_a_job_that_calls_a_playlist_finite_or_live_is_believed(tmp_path: Path) -> None:
    playlist = write_hls(tmp_path / "web", 8.0)
    settings = SourceSettings(backoff_s=0.05, attempts=2, read_timeout_s=2)

    def stop_with_samples(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) > 3:
            stream.stop()

    with served(tmp_path / "web") as web:
        turned = read(f"{web.url}/index.m3u8", Sampling(every=10), settings)
        live = read(f"{web.url}/index.m3u8", Sampling(every=10), settings, live=True, meddle=stop_with_samples)
        with LivePlaylist(playlist):
            told = read(f"{web.url}/live.m3u8", Sampling(every=10), settings)
            finite = read(f"{web.url}/live.m3u8", Sampling(every=10), settings, live=False, meddle=stop_with_samples)
    kinds = [found.outcome.kind for found in (turned, live, told, finite) if found.outcome is not None]
    assert kinds == [OutcomeKind.ENDED, OutcomeKind.STOPPED, OutcomeKind.TURNED_LIVE, OutcomeKind.STOPPED]


def test_a_live_playlist_that_has_ended_is_read_on_when_it_goes_on_and_not_again_before(tmp_path: Path) -> None:
    """Its last seconds were read again and again, eight times as fast as they had been made."""
    playlist = write_hls(tmp_path / "web", 60.0)
    settings = SourceSettings(backoff_s=0.05, backoff_cap_s=0.2)
    samples: list[int] = []

    with served(tmp_path / "web") as web, LivePlaylist(playlist) as shown:

        def end_and_go_on(stream: Stream, heard: Heard) -> None:
            tries = heard.states.count(StreamState.RECONNECTING)
            if not samples and len(heard.samples) > 3:
                samples.append(len(heard.samples))
                shown.finish()
            elif len(samples) == 1 and tries == 2:
                samples.append(len(heard.samples))
            elif len(samples) == 2 and tries == 4:
                samples.append(len(heard.samples))
                shown.go_on()
            elif len(samples) == 3 and len(heard.samples) > samples[2] + 3:
                stream.stop()

        found = read(f"{web.url}/live.m3u8", Sampling(fps=5), settings, live=True, meddle=end_and_go_on)
    assert samples[1] == samples[2]
    assert "marked as finished" in found.details[found.states.index(StreamState.RECONNECTING) + 1]
    assert found.gaps == [GapReason.RECONNECT]

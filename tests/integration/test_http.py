"""Sources over HTTP, from a real server: files, redirects, credentials, failures that pass and failures that do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from streamtag.core.job import Sampling
from streamtag.core.options import SamplingSettings
from streamtag.core.records import StreamState
from streamtag.core.stream_state import OutcomeKind
from streamtag.settings import SourceSettings
from streamtag.tools.demo.drawing import frames, plan

from tests.support.films import write_film
from tests.support.hls import write_hls
from tests.support.stream_reading import assert_alike, read
from tests.support.web import PASSWORD, USER, WebServer, served

QUICK = SourceSettings(backoff_s=0.05, attempts=3, open_timeout_s=5, read_timeout_s=5, auth_retry_s=0.05)


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("http") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 180))
    for picture in frames(plan(2.0, 1), 1, (320, 180)):
        writer.write(picture)
    writer.release()
    return path.read_bytes()


@pytest.fixture
def web(web_server: WebServer, clip_bytes: bytes) -> str:
    (web_server.folder / "clip.avi").write_bytes(clip_bytes)
    return web_server.url


@pytest.mark.parametrize("path", ["/clip.avi", "/to//to//clip.avi"])
def test_a_file_is_read_also_behind_redirects(web: str, path: str) -> None:
    found = read(web + path, Sampling(fps=5), QUICK)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded, len(found.samples)) == (OutcomeKind.ENDED, 50, 10)


def test_credentials_of_the_url_are_used_and_wrong_ones_are_told(web: str) -> None:
    good = read(web.replace("://", "://viewer:hunter2@") + "/secret/clip.avi", Sampling(fps=5), QUICK)
    assert len(good.samples) == 10
    wrong = read(web.replace("://", "://viewer:wrong-one@") + "/secret/clip.avi", Sampling(fps=5), QUICK)
    assert wrong.outcome is not None
    assert "401" in wrong.outcome.reason
    assert StreamState.AUTH_FAILED in wrong.states
    assert "wrong-one" not in wrong.outcome.reason + str(wrong.details)


def test_a_failure_that_passes_is_tried_again_and_one_that_does_not_is_rejected(
    web: str, web_server: WebServer
) -> None:
    web_server.failures = 2
    assert len(read(web + "/clip.avi", Sampling(fps=5), QUICK).samples) == 10
    outcome = read(web + "/none.mp4", Sampling(fps=5), QUICK).outcome
    assert outcome is not None
    assert "404" in outcome.reason
    refused = read("http://127.0.0.1:9/clip.avi", Sampling(fps=5), QUICK)
    assert refused.outcome is not None
    assert refused.states.count(StreamState.RECONNECTING) == 2


def test_a_credential_is_sent_to_its_host_and_not_to_where_that_leads(
    web_server: WebServer, clip_bytes: bytes, tmp_path: Path
) -> None:
    """By a redirect that we follow, and by one that FFmpeg follows."""
    (web_server.folder / "clip.avi").write_bytes(clip_bytes)
    settings = QUICK.model_copy(update={"credentials": tmp_path, "auth_retry_s": 0.1})
    host = web_server.url.removeprefix("http://")
    (tmp_path / "viewer").write_text(f"{USER}:{PASSWORD}@http://{host}")
    found = read(f"{web_server.url}/secret/clip.avi", Sampling(fps=5), settings, credential="viewer")
    assert len(found.samples) == 10
    assert any(web_server.authorisations)
    with served(tmp_path / "elsewhere") as other:
        (other.folder / "clip.avi").write_bytes(clip_bytes)
        for way in ("to", "moved"):
            url = f"{web_server.url}/{way}/{other.url}/clip.avi"
            assert len(read(url, Sampling(fps=5), settings, credential="viewer").samples) == 10
        assert len(other.requests) >= 3
        assert set(other.authorisations) == {""}
        theirs = read(f"{other.url}/clip.avi", Sampling(fps=5), settings, credential="viewer")
    assert theirs.outcome is not None
    assert (theirs.outcome.kind, theirs.samples) == (OutcomeKind.REJECTED, [])
    assert "may not go to this host" in theirs.outcome.reason
    missing = read(f"{web_server.url}/secret/clip.avi", Sampling(fps=5), settings, credential="nobody")
    assert missing.outcome is not None
    assert "there is no nobody in source.credentials" in missing.outcome.reason


ALL, SOME = Sampling(every=1), Sampling(every=2)  # of some no more is decoded than they need
BRISK = QUICK.model_copy(update={"read_timeout_s": 1.0})


def _write(folder: Path, kind: str) -> str:
    """A film of 10 s, 250 frames, as a file of that name."""
    if kind == "index.m3u8":
        write_hls(folder, 10.0)
    elif kind == "film.ts":
        write_film(folder / kind, 10.0, "mpegts")
    elif kind == "film.mkv":
        write_film(folder / kind, 10.0, "matroska")
    else:
        write_film(folder / kind, 10.0, "mp4", movflags="+faststart")
    return kind


@pytest.mark.parametrize("sampling", [ALL, SOME], ids=["all", "some"])
@pytest.mark.parametrize("how", ["end", "reset", "stall"])
@pytest.mark.parametrize("kind", ["film.mp4", "film.ts", "film.mkv"])
def test_a_film_that_breaks_off_is_read_on_without_a_hole(
    web_server: WebServer, kind: str, how: str, sampling: Sampling
) -> None:
    name = _write(web_server.folder, kind)
    whole = read(web_server.folder / name, sampling, sampled=SamplingSettings(decode="all"))
    web_server.break_at = (web_server.folder / name).stat().st_size * 56 // 100
    web_server.breaks, web_server.break_how = 3, how
    found = read(f"{web_server.url}/{name}", sampling, BRISK)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded, found.outcome.reason) == (OutcomeKind.ENDED, 250, "")
    assert any("broke" in detail or "nothing came" in detail for detail in found.details)
    assert [(s.index, s.pts_s, s.sampled) for s in found.samples] == [
        (s.index, s.pts_s, s.sampled) for s in whole.samples
    ]
    assert_alike(found.pictures, whole.pictures)


@pytest.mark.parametrize("sampling", [ALL, SOME], ids=["all", "some"])
@pytest.mark.parametrize("how", ["end", "stall"])
def test_a_film_that_always_breaks_off_there_fails_and_says_where(
    web_server: WebServer, how: str, sampling: Sampling
) -> None:
    name = _write(web_server.folder, "film.mp4")
    size = (web_server.folder / name).stat().st_size
    web_server.break_at, web_server.break_how = size * 56 // 100, how
    found = read(f"{web_server.url}/{name}", sampling, BRISK)
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.REJECTED
    expected = f"of {size} bytes" if how == "end" else "nothing came for 1."
    assert expected in found.outcome.reason
    step = sampling.every or 1
    assert [sample.index for sample in found.samples] == list(range(0, step * len(found.samples), step))
    assert 50 < step * len(found.samples) < 250


def test_where_the_length_is_not_known_the_result_says_so(web_server: WebServer) -> None:
    name = _write(web_server.folder, "film.ts")
    web_server.lengths, web_server.ranges = False, False
    web_server.break_at = (web_server.folder / name).stat().st_size * 56 // 100
    found = read(f"{web_server.url}/{name}", ALL, BRISK)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded < 250) == (OutcomeKind.ENDED, True)
    assert "cannot be told" in found.outcome.reason


def test_a_part_of_a_playlist_that_fails_is_asked_for_again(web_server: WebServer) -> None:
    """FFmpeg would pass over it."""
    name = _write(web_server.folder, "index.m3u8")
    web_server.break_at, web_server.breaks = (web_server.folder / "index4.ts").stat().st_size // 2, 5
    found = read(f"{web_server.url}/{name}", ALL, BRISK.model_copy(update={"attempts": 6}))
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded) == (OutcomeKind.ENDED, 250)
    assert [sample.index for sample in found.samples] == list(range(250))
    (web_server.folder / "index7.ts").unlink()
    lost = read(f"{web_server.url}/{name}", ALL, BRISK)
    assert lost.outcome is not None
    assert lost.outcome.kind is OutcomeKind.REJECTED
    assert "the connection broke in a part of it" in lost.outcome.reason


@pytest.mark.parametrize("sampling", [ALL, SOME], ids=["all", "some"])
def test_a_film_with_its_index_at_the_end_and_a_server_without_ranges_says_what_to_do(
    web_server: WebServer, sampling: Sampling
) -> None:
    write_film(web_server.folder / "late.mp4", 10.0, "mp4")
    assert len(read(f"{web_server.url}/late.mp4", sampling, BRISK).samples) == 250 // (sampling.every or 1)
    web_server.ranges = False
    found = read(f"{web_server.url}/late.mp4", sampling, BRISK)
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.REJECTED
    assert "faststart" in found.outcome.reason
    assert found.states == []

"""Sources over HTTP, from a real server: files, redirects, credentials, failures that pass and failures that do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from streamtag.core.job import Sampling
from streamtag.core.records import StreamState
from streamtag.core.stream_state import OutcomeKind
from streamtag.settings import SourceSettings
from streamtag.tools.demo.drawing import frames, plan

from tests.support.stream_reading import read
from tests.support.web import WebServer

QUICK = SourceSettings(backoff_s=0.05, attempts=3, open_timeout_s=5, read_timeout_s=5)


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

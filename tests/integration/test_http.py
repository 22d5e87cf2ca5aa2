"""Sources over HTTP, from a real server: files, redirects, credentials, failures that pass and failures that do not."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.core.records import Sampling, StreamState
from streamtag.settings import SourceSettings
from streamtag.tools.demo.drawing import frames, plan

from tests.integration.test_decoding import read

QUICK = SourceSettings(backoff_s=0.05, attempts=3, open_timeout_s=5, read_timeout_s=5)


class Handler(http.server.BaseHTTPRequestHandler):
    """/clip.avi the clip; /to/X redirects to X; /secret.avi wants credentials; /flaky.avi fails twice."""

    clip: bytes = b""
    failures = 0

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(b"viewer:hunter2").decode()
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to"))
            self.end_headers()
        elif self.path == "/secret.avi" and self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
        elif self.path == "/flaky.avi" and type(self).failures < 2:
            type(self).failures += 1
            self.send_response(503)
            self.end_headers()
        elif self.path.endswith(".avi"):
            self._send_clip()
        else:
            self.send_response(404)
            self.end_headers()

    def _send_clip(self) -> None:
        first, wanted = 0, self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first = int(wanted.removeprefix("bytes=").split("-")[0] or 0)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Range", f"bytes {first}-{len(self.clip) - 1}/{len(self.clip)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(self.clip) - first))
        self.end_headers()
        try:
            self.wfile.write(self.clip[first:])
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    import cv2

    path: Path = tmp_path_factory.mktemp("http") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 180))
    for picture in frames(plan(2.0, 1), 1, (320, 180)):
        writer.write(picture)
    writer.release()
    return path.read_bytes()


@pytest.fixture
def web(clip_bytes: bytes) -> Iterator[str]:
    class Own(Handler):
        clip = clip_bytes

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ("/clip.avi", "/to/to/clip.avi"))
def test_a_file_is_read_also_behind_redirects(web: str, path: str) -> None:
    found = read(web + path, Sampling(fps=5), QUICK)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded, len(found.samples)) == ("end", 50, 10)


def test_credentials_of_the_url_are_used_and_wrong_ones_are_told(web: str) -> None:
    good = read(web.replace("://", "://viewer:hunter2@") + "/secret.avi", Sampling(fps=5), QUICK)
    assert len(good.samples) == 10
    wrong = read(web.replace("://", "://viewer:wrong-one@") + "/secret.avi", Sampling(fps=5), QUICK)
    assert wrong.outcome is not None
    assert "401" in wrong.outcome.reason
    assert StreamState.AUTH_FAILED in wrong.states
    assert "wrong-one" not in wrong.outcome.reason + str(wrong.details)


def test_a_failure_that_passes_is_tried_again_and_one_that_does_not_is_rejected(web: str) -> None:
    assert len(read(web + "/flaky.avi", Sampling(fps=5), QUICK).samples) == 10
    outcome = read(web + "/none.mp4", Sampling(fps=5), QUICK).outcome
    assert outcome is not None
    assert "404" in outcome.reason
    refused = read("http://127.0.0.1:9/clip.avi", Sampling(fps=5), QUICK)
    assert refused.outcome is not None
    assert refused.states.count(StreamState.RECONNECTING) == 2

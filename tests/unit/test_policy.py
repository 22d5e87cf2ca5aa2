"""Which sources a job may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest.policy import AuthFailed, allowed
from streamtag.settings import SourceSettings

from tests.support.web import WebServer


@pytest.fixture
def web(web_server: WebServer) -> str:
    return web_server.url


def test_by_default_files_and_private_addresses_are_allowed(web: str) -> None:
    assert allowed("/any/where.mp4", SourceSettings()) == "/any/where.mp4"
    assert allowed("file:///any/where%20else.mp4", SourceSettings()) == "/any/where else.mp4"
    assert allowed("rtsp://10.1.2.3/cam", SourceSettings()) == "rtsp://10.1.2.3/cam"
    assert allowed(f"{web}/200", SourceSettings()) == f"{web}/200"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "rtsp://169.254.1.1/cam",
        "http://[fe80::1]/x",
        "http://[::ffff:169.254.169.254]/x",
        "http://100.100.100.200/x",
    ],
)
def test_link_local_and_metadata_addresses_are_not(url: str) -> None:
    with pytest.raises(RejectJob, match="link-local or metadata"):
        allowed(url, SourceSettings())


def test_a_redirect_to_one_is_not_followed(web: str) -> None:
    with pytest.raises(RejectJob, match="link-local or metadata"):
        allowed(f"{web}/to/http://169.254.169.254/latest", SourceSettings())
    with pytest.raises(RejectJob, match="scheme 'file'"):
        allowed(f"{web}/to/file:///etc/passwd", SourceSettings())


def test_redirects_are_followed_to_their_end_and_not_for_ever(web: str) -> None:
    assert allowed(f"{web}/to//to/{web}/200", SourceSettings()) == f"{web}/200"
    with pytest.raises(RejectJob, match="redirects"):
        allowed(f"{web}/to/" + "/to/" * 9 + "200", SourceSettings())


def test_an_answer_of_the_server_says_whether_to_try_again(web: str) -> None:
    with pytest.raises(RejectJob, match="404"):
        allowed(f"{web}/404", SourceSettings())
    with pytest.raises(RetryJob, match="503"):
        allowed(f"{web}/503", SourceSettings())
    with pytest.raises(AuthFailed, match="user and password"):
        allowed(f"{web}/401", SourceSettings())
    with pytest.raises(RetryJob, match="cannot be reached"):
        allowed("http://127.0.0.1:9/x", SourceSettings(open_timeout_s=2))


def test_networks_narrow_it(web: str) -> None:
    with pytest.raises(RejectJob, match=r"source\.networks"):
        allowed(f"{web}/200", SourceSettings(networks=["10.0.0.0/8"]))
    assert allowed(f"{web}/200", SourceSettings(networks=["127.0.0.0/8"]))


def test_schemes_narrow_it() -> None:
    with pytest.raises(RejectJob, match=r"source\.schemes"):
        allowed("/a.mp4", SourceSettings(schemes=["rtsp"]))


def test_file_roots_hold_whatever_the_path_looks_like(tmp_path: Path) -> None:
    inside, outside = tmp_path / "videos", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    (outside / "x.mp4").touch()
    (inside / "link.mp4").symlink_to(outside / "x.mp4")
    settings = SourceSettings(file_roots=[inside])
    assert allowed(str(inside / "a.mp4"), settings)
    for path in (outside / "x.mp4", inside / ".." / "other" / "x.mp4", inside / "link.mp4"):
        with pytest.raises(RejectJob, match=r"source\.file_roots"):
            allowed(str(path), settings)


def test_a_name_that_cannot_be_resolved_may_be_so_later_and_shows_no_password() -> None:
    with pytest.raises(RetryJob, match="cannot be resolved") as caught:
        allowed("rtsp://user:hunter2@no-such-host.invalid/cam", SourceSettings())
    assert "hunter2" not in str(caught.value)

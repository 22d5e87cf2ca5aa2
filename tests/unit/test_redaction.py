"""Secrets that must not be seen, in whatever a camera's password may be made of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.redaction import MAX_TEXT, holds_secret, printable, redact, redact_url, shown_source, without_name

SECRET = "hunter2"


@pytest.mark.parametrize("wedge", ["", "'", '"', "#", "/", "?", " ", "@", ":", "&", "=", "%20", "://", "<", ";", "\\"])
@pytest.mark.parametrize(
    "pattern",
    [
        "rtsp://admin:{}@cam/1",
        "rtsp://admin:{}@cam:554/Streaming/Channels/101",
        "http://cam/video.cgi?user=admin&password={}&channel=1",
        "http://cam/live?loginuse=admin&loginpas={}",
        "http://cam/videostream.cgi?usr=admin&pwd={}",
        "rtsp://cam:554/user=admin&password={}&channel=1&stream=0.sdp",
        "rtsp://cam:554/user=admin_password={}_channel=1_stream=0.sdp",
        "redis://:{}@host:6379/0",
    ],
)
def test_a_password_of_any_characters_is_not_shown(pattern: str, wedge: str) -> None:
    """``{}`` is a password whose middle is the wedge; neither half may be seen, alone or within a sentence."""
    source = pattern.format(f"hun{wedge}ter2")
    assert holds_secret(source)
    for shown in (shown_source(source), redact_url(source), redact(f"cannot open {source}: refused", source)):
        assert "hun" not in shown
        assert "ter2" not in shown


@pytest.mark.parametrize("name", ["pass", "pw", "psw", "loginpas", "sig", "apikey1", "session", "X-Amz-Signature"])
@pytest.mark.parametrize("value", ["hunter2", "hunter2 hunter2", "'hunter2'", 'a"hunter2', "p@hunter2", "a/hunter2?b"])
def test_a_text_about_an_unknown_address_hides_what_follows_a_telling_name(name: str, value: str) -> None:
    assert SECRET not in redact(f"GET http://cam/x?{name}={value}&channel=1")
    assert SECRET not in redact(f"GET http://cam/x?channel=1&{name}={value}")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://user:p@cam:554/live/1?transport=tcp", "rtsp://***@cam:554/live/1"),
        ("https://cdn/film.mp4?X-Amz-Signature=abc", "https://cdn/film.mp4"),
        ("rtsp://cam/user=admin&password=p@ss&channel=1", "rtsp://***"),
        ("redis://:pa/ss@host:6379/0", "redis://***@host:6379/0"),
        ("/data/films/année=2024/film.mp4", "/data/films/année=2024/film.mp4"),
        ("file:///data/a@b.mp4", "file:///data/a@b.mp4"),
        ("photos/*.png", "photos/*.png"),
        ("camera:0", "camera:0"),
        ("http://h/" + "a" * 100, "http://h…" + "a" * 80),
        ("a\x1b[31mb", "a?[31mb"),
    ],
)
def test_of_a_source_scheme_host_and_a_short_path_are_shown(source: str, shown: str) -> None:
    assert shown_source(source) == shown
    assert shown_source(shown) == shown or "…" in shown


@pytest.mark.parametrize("source", ["clip.mp4", "/data/a=b.mp4", "file:///a@b.mp4", "rtsp://cam:554/live", "camera:0"])
def test_a_source_that_holds_no_secret_may_be_kept(source: str) -> None:
    assert not holds_secret(source)


@pytest.mark.parametrize(
    ("reason", "source"),
    [
        ("/films/a.mp4: it is empty", "/films/a.mp4"),
        ("a.png: it is empty", "/films/a.png"),
        ("films: it is empty", "/films/"),
        ("rtsp://***@cam/1: it is empty", "rtsp://u:p@cam/1"),
        ("it is empty", "/films/a.mp4"),
    ],
)
def test_a_reason_beside_its_source_does_not_name_it(reason: str, source: str) -> None:
    assert without_name(reason, source) == "it is empty"
    assert without_name(f"corrupt: {reason}", source) == f"corrupt: {reason}"


def test_a_server_is_named_without_its_user() -> None:
    assert redact_url("rediss://user:pw@redis.lan:6380/2?ssl=1") == "rediss://redis.lan:6380/2"


def test_words_around_an_address_stay() -> None:
    text = "[rtsp @ 0x55d] open of rtsp://u:p@cam/1 failed: 404 Not Found\nsecond line"
    assert redact(text) == "[rtsp @ 0x55d] open of rtsp://***@cam/1 failed: 404 Not Found\nsecond line"


@given(st.text(max_size=300))
def test_no_text_breaks_it_and_nothing_that_terminals_obey_is_left(text: str) -> None:
    for shown in (redact(text), shown_source(text), printable(text)):
        assert all(ord(character) >= 32 or character == "\n" for character in shown)
        shown.encode()  # no half characters


ADVERSARIAL = ["a", "://", "@", "a://", "=", "pass=", "&", "://@ ", "a@ ", "key", "/", "pass=a&", "://a=", "-_", "\n"]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_the_work_is_bounded_whatever_the_text(piece: str) -> None:
    """40 kB of letters once took 24 s. Now at most ``MAX_TEXT`` characters are read, so ten times the text is no more
    work; and what is read is read in a time that doubles, not quadruples, with its length."""
    assert len(redact(piece * 300_000)) < 3 * MAX_TEXT

    def cost_s(characters: int) -> float:
        text = (piece * characters)[:characters]
        began_s = time.process_time()
        for _ in range(10):
            redact(text)
        return time.process_time() - began_s

    cost_s(MAX_TEXT)
    half_s = min(cost_s(MAX_TEXT // 4) for _ in range(3))
    whole_s = min(cost_s(MAX_TEXT) for _ in range(3))
    assert whole_s < 10 * max(half_s, 1e-3), "four times the text should take four times as long, not sixteen"
    began_s = time.process_time()
    redact(piece * 300_000)
    assert time.process_time() - began_s < 5

"""Log lines about what went wrong: bounded, and without what must not be seen."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator

import pytest
import streamtag.logs
import structlog
from streamtag.logs import MAX_FRAMES, configure, log, quiet_stderr, traceback_text
from streamtag.settings import LogSettings


def _recurse(value: object, depth: int) -> None:
    password = "hunter2"  # a variable, which no line may show
    if depth == 0:
        raise ValueError(f"{value} of {len(password)}")
    _recurse(value, depth - 1)


def _caught(value: object, depth: int = 0) -> Exception:
    try:
        _recurse(value, depth)
    except ValueError as error:
        return error
    raise AssertionError


@pytest.fixture(params=["console", "json"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, in either format."""
    target = io.StringIO()
    monkeypatch.setattr(streamtag.logs, "own_stderr", lambda: target)
    configure(LogSettings(format=request.param))
    yield target
    structlog.reset_defaults()


def test_a_traceback_is_bounded_in_depth_text_and_causes() -> None:
    """A pretty one once took 60 s over a deep recursion with a large value."""
    error: Exception = _caught("x" * 3_000_000, 500)
    for number in range(20):
        try:
            raise RuntimeError(f"cause {number}") from error
        except RuntimeError as wrapped:
            error = wrapped
    began_s = time.process_time()
    text = traceback_text(error)
    assert time.process_time() - began_s < 5
    assert "cause 19" in text
    assert "cause 10" not in text
    deep = traceback_text(_caught("x" * 3_000_000, 500))
    assert deep.count("\n") == MAX_FRAMES
    assert len(deep) < 5000
    assert "in _recurse" in deep


def test_neither_values_nor_credentials_are_shown(written: io.StringIO) -> None:
    log.error("it failed", exc_info=_caught("rtsp://user:hunter2@cam/1"))
    assert "hunter2" not in written.getvalue()
    assert "rtsp://***@cam/1 of 7" in written.getvalue()
    assert "ValueError" in written.getvalue()


def test_the_exception_at_hand_is_the_one_that_is_told(written: io.StringIO) -> None:
    try:
        _recurse("this one", 0)
    except ValueError:
        log.error("it failed", exc_info=True)
    log.error("nothing is at hand", exc_info=None)
    assert written.getvalue().count("ValueError: this one") == 1


def test_an_exception_whose_text_fails_is_told_too() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise KeyError("no text")

    assert "Broken: <its text raises KeyError>" in traceback_text(Broken())


def test_no_terminal_escape_gets_into_a_line(written: io.StringIO) -> None:
    log.error("it failed", job_id="\x1b]0;owned\x07")
    assert "\x1b]0" not in written.getvalue()


@pytest.mark.parametrize(("end", "is_told"), [(KeyboardInterrupt, False), (ValueError, True)])
def test_what_libraries_said_is_shown_of_a_failure_and_not_of_who_ends_it(
    end: type[BaseException], is_told: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    @quiet_stderr()
    def load() -> None:
        os.write(2, b"a page of greetings")
        raise end

    with pytest.raises(end):
        load()
    assert ("greetings" in capfd.readouterr().err) is is_told

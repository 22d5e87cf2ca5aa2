"""What is active as subtitles: WebVTT for browsers, SubRip for players. A line a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from streamtag.core.stretches import Stretch
from streamtag.redaction import printable

MAX_NAME = 200
# SubRip has no way to write these as they are: players take <i> and {\an8} for commands, and some know no entities.
_SIMILAR = str.maketrans("<>{}", "‹›()")


def vtt(stretches: Iterable[Stretch]) -> Iterator[bytes]:
    """A WebVTT file: ``&``, ``<`` and ``>`` of a name are entities, so no name is markup or an arrow of times."""
    yield b"WEBVTT\n"
    yield from _cues(stretches, ".", _entities)


def srt(stretches: Iterable[Stretch]) -> Iterator[bytes]:
    """A SubRip file in UTF-8; characters that players obey become similar ones."""
    yield from _cues(stretches, ",", lambda name: name.translate(_SIMILAR))


def _cues(stretches: Iterable[Stretch], point: str, escaped: Callable[[str], str]) -> Iterator[bytes]:
    number = 0
    for stretch in stretches:
        start_ms, end_ms = (round(max(0.0, seconds) * 1000) for seconds in (stretch.start_s, stretch.end_s))
        if end_ms <= start_ms:
            continue  # before the first picture: no video shows it
        number += 1
        lines = [escaped(printable(name, MAX_NAME)) for name in stretch.active]
        before = "\n" if number > 1 or point == "." else ""
        yield "\n".join(
            [f"{before}{number}", f"{_time(start_ms, point)} --> {_time(end_ms, point)}", *lines, ""]
        ).encode()


def _entities(name: str) -> str:
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"

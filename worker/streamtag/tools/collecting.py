"""Frames of a stream as pictures to learn from: those of which the network is least sure, apart from each other.

They are decoded in the caged process as everywhere, as large as is wanted; here they are only compared and written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.records import Event
from streamtag.errors import ConfigError, StreamtagError
from streamtag.redaction import shown_source
from streamtag.settings import Settings
from streamtag.tools.certainty import Certainty
from streamtag.tools.whole_frames import Span, Wanted, whole_frames

QUALITY = 95  # of the JPEG files: they are learnt from
NAME = re.compile(r"[^\W_][\w .()+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the frames go, and how many.

    Attributes:
        path: the folder of the class.
        name: of the source. With a span it names a folder below, whose frames stay together when a data set is split.
        count: files at most.
        apart_s: seconds of presentation time of which one frame at most is taken.
        region: of the frames, part of their files' names: those of other regions lie beside them.
    """

    path: Path
    name: str
    count: int = 50
    apart_s: float = 0.5
    region: str = ""

    def file(self, span: Span, pts_s: float) -> Path:
        """Of a frame."""
        region = f"_{self.region}" if self.region else ""
        return self.path / f"{self.name}_{span}" / f"{pts_s:010.3f}{region}.jpg"


@dataclass(frozen=True, slots=True)
class Saved:
    """A file with what the network made of its frame."""

    path: Path
    span: Span
    pts_s: float
    certainty: float
    is_new: bool  # False: it was there already, and stays as it is
    is_other: bool = False  # it was there, and is another picture


@dataclass(frozen=True, slots=True)
class _Candidate:
    span: Span
    pts_s: float
    certainty: float
    jpeg: bytes


def collect(
    wanted: Wanted,
    folder: Folder,
    settings: Settings,
    certainty: Certainty,
    on_progress: Callable[[float, int], None] = lambda share, looked: None,
) -> Iterator[Saved]:
    """Look through the source, then write the frames, the least certain first.

    Args:
        on_progress: told how much of the way is done, and how many frames were looked at.

    Raises:
        StreamtagError: the source cannot be read, none of its frames is wanted, or a file cannot be written.
    """
    best: dict[tuple[Span, int], _Candidate] = {}
    looked = 0
    for frame in whole_frames(wanted, settings):
        looked += 1
        on_progress(frame.share, looked)
        span = next((span for span in wanted.spans if span.start_s <= frame.pts_s <= span.end_s), None)
        sure = certainty(frame.pts_s, frame.picture) if span is not None else None
        if span is None or sure is None:
            continue
        cell = (span, math.floor(frame.pts_s / folder.apart_s))
        if cell in best and best[cell].certainty <= sure:
            continue
        if cell not in best and len(best) >= folder.count:
            surest = max(best, key=lambda one: best[one].certainty)
            if best[surest].certainty <= sure:
                continue
            del best[surest]
        best[cell] = _Candidate(span, frame.pts_s, sure, _jpeg(frame.picture))
    if not best:
        where = ", ".join(map(str, wanted.spans))
        shown = shown_source(wanted.source)
        raise StreamtagError(f"{shown}: {looked} frames looked at, none of them is wanted ({where})")
    for candidate in sorted(best.values(), key=lambda one: (one.certainty, one.pts_s)):
        path = folder.file(candidate.span, candidate.pts_s)
        is_new = _write_new(path, candidate.jpeg)
        is_other = not is_new and _read(path) != candidate.jpeg
        yield Saved(path, candidate.span, candidate.pts_s, round(candidate.certainty, 6), is_new, is_other)


def active_spans(events: Iterable[Event], label: str, region: str = "") -> tuple[Span, ...]:
    """From each ``enter`` of a label to its ``exit``, by the events of one job.

    Raises:
        StreamtagError: it never entered; names those that did.
    """
    spans: list[Span] = []
    begun: float | None = None
    others: set[str] = set()
    for event in events:
        name = event.content.get("label", {}).get("name") if event.kind in ("enter", "exit") else None
        if name is None or event.content.get("region", "") != region:
            continue
        others.add(str(name))
        if name == label and event.kind == "enter":
            begun = event.pts_s
        elif name == label and begun is not None:
            spans.append(Span(begun, max(begun, event.pts_s)))
            begun = None
    if begun is not None:
        spans.append(Span(begun))
    if not spans:
        told = f"; these did: {', '.join(sorted(others)[:20])}" if others else ""
        raise StreamtagError(f"no event says that {label!r} became active{told}")
    return tuple(spans)


def parse_span(text: str) -> Span:
    """``12.5-20``, ``12.5-`` or one moment, in seconds.

    Raises:
        ConfigError: it is none.
    """
    matched = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(-(\d{1,9}(?:\.\d{1,6})?)?)?", text.strip())
    if matched is None:
        raise ConfigError(f"--at {text!r}: give seconds, as 12.5-20, 12.5- for all after it, or 12.5")
    start_s = float(matched[1])
    end_s = start_s + 1.0 if matched[2] is None else float(matched[3]) if matched[3] else math.inf
    if end_s <= start_s:
        raise ConfigError(f"--at {text!r}: ends before it begins")
    return Span(start_s, end_s)


def _jpeg(picture: np.ndarray) -> bytes:
    done, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done  # of a picture in memory
    return bytes(content)


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file, whole or not at all; False where there is one of that name, whatever is in it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StreamtagError(f"{path.parent}: {error.strerror}") from None
    try:
        with path.open("xb") as file:
            try:
                file.write(content)
            except BaseException:
                with suppress(OSError):
                    path.unlink()
                raise
    except FileExistsError:
        return False
    except OSError as error:
        raise StreamtagError(f"{path}: {error.strerror}") from None
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StreamtagError(f"{path}: {error.strerror}") from None


def folder_name(text: str) -> str:
    """Of an address or a path its last part, as the name of a folder, without what may be a password."""
    shown = re.sub(r"[?#].*$", "", shown_source(text))
    last = shown.rstrip("/").rsplit("/", 1)[-1].rsplit("@", 1)[-1]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", last.rsplit(".", 1)[0]).strip("-.")[:60] or "stream"


def checked_label(name: str) -> str:
    """The name of a class as that of a folder.

    Raises:
        ConfigError: it could lead elsewhere, or would not be shown.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"--label {name!r}: letters, digits, blanks and . ( ) + - _, beginning with a letter or digit"
        )
    return name

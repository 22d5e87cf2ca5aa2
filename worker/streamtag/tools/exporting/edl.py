"""An edit decision list (CMX 3600): a cut for each stretch with something active, laid where it is in the film."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from fractions import Fraction

from streamtag.core.records import JobView
from streamtag.core.stretches import Stretch
from streamtag.errors import StreamtagError
from streamtag.redaction import printable


class Rate(StrEnum):
    """Frames a second, as people write them. Timecodes count whole frames and drop no numbers."""

    FILM_NTSC = "23.976"
    FILM = "24"
    PAL = "25"
    NTSC = "29.97"
    THIRTY = "30"
    FIFTY = "50"
    NTSC_DOUBLE = "59.94"
    SIXTY = "60"

    @property
    def base(self) -> int:
        """Frames that a second of timecode has."""
        return round(float(self))

    @property
    def frames_per_s(self) -> Fraction:
        """Frames that a second of the film has."""
        return Fraction(self.base * 1000, 1001) if "." in self else Fraction(self.base)


DAY_S = 86_400
REEL = "AX"  # what editors call a source that is a file and no tape


def edl(stretches: Iterable[Stretch], view: JobView, rate: Rate) -> Iterator[bytes]:
    """The list, in UTF-8. Source and record timecodes are the presentation time, so the cuts lie over the film.

    Raises:
        StreamtagError: a stretch ends after 24 hours, where timecodes do.
    """
    title, clip = _line(view.stream or view.job_id), _line(re.split(r"[\\/]", view.source.rstrip("/"))[-1])
    yield f"TITLE: {title}\nFCM: NON-DROP FRAME\n".encode()
    free, number = 0, 0  # the first frame that no cut has yet
    for stretch in stretches:
        start = max(free, round(Fraction(max(0.0, stretch.start_s)) * rate.frames_per_s))
        end = max(start + 1, round(Fraction(max(0.0, stretch.end_s)) * rate.frames_per_s))
        if end > DAY_S * rate.base:
            raise StreamtagError("timecodes end at 24 hours, and this job goes on; export it as vtt or csv")
        free, number = end, number + 1
        times = " ".join([_timecode(start, rate), _timecode(end, rate)] * 2)
        names = ", ".join(_line(name) for name in stretch.active)
        yield (
            f"\n{number:03d}  {REEL:<8} V     C        {times}\n* FROM CLIP NAME: {clip}\n* COMMENT: {names}\n"
        ).encode()


def _timecode(frame: int, rate: Rate) -> str:
    seconds, frame = divmod(frame, rate.base)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}:{frame:02d}"


def _line(text: str) -> str:
    return printable(text, 200)

"""Drawing labels on a copy of a picture or video. Decodes, so it runs in a process of its own."""

from __future__ import annotations

import bisect
import functools
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streamtag.core.job import Region
from streamtag.errors import StreamtagError, in_words
from streamtag.ingest.confined import confine_process
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.gate import GateClient, gate_for
from streamtag.ingest.geometry import as_bgr, cut
from streamtag.ingest.opening import locate, open_reader
from streamtag.ingest.planes import Pixels
from streamtag.ingest.readers import CorruptFrame, Reader
from streamtag.settings import SourceSettings
from streamtag.tools.drawing.lettering import Font
from streamtag.tools.drawing.writing import open_video

BORDER = (0, 200, 255)  # of a region, BGR


@dataclass(frozen=True, slots=True)
class Caption:
    """Text that is shown from a frame on."""

    index: int  # frame, in decode order
    text: str


@dataclass(frozen=True, slots=True)
class Area:
    """A region of the frames, with what to draw in it."""

    region: Region | None  # None is all of them
    name: str
    captions: tuple[Caption, ...]  # in order of their frames

    def text(self, index: int) -> str:
        """What to say in a frame."""
        at = bisect.bisect_right(self.captions, index, key=lambda caption: caption.index) - 1
        said = self.captions[at].text if at >= 0 else ""
        return "\n".join(part for part in (self.name, said) if part)


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw where."""

    source: str
    out: str
    areas: tuple[Area, ...]
    settings: SourceSettings
    fonts: tuple[Font, ...] = ()  # for letters outside ASCII


def annotate(picture: Picture, context: ForkServerContext) -> str:
    """Draw in a process of its own; the answer says what went wrong, or is empty."""
    ours, theirs = context.Pipe(duplex=False)
    with gate_for(picture.source, picture.settings, context) as gate_port:
        process = context.Process(target=_main, args=(picture, theirs, gate_port), daemon=True)
        process.start()
        theirs.close()
        try:
            problem: str = ours.recv()
        except EOFError:
            problem = f"{picture.source}: the decoder process died on it"
        finally:
            process.join(1.0)
            process.kill()
            ours.close()
    return problem


def _main(picture: Picture, parent: Connection, gate_port: int) -> None:
    confine_process(picture.settings)
    log = ErrorLog(picture.source)
    try:
        gate = GateClient(gate_port, picture.source) if gate_port else None
        located = locate(picture.source, picture.settings)
        reader = open_reader(located, picture.settings, log, gate, sparse=True)
        if reader.still:
            next(reader.frames())
            _write(Path(picture.out), _drawn(reader.retrieve(), picture, 0))
        else:
            _draw_video(reader, picture)
        parent.send("")
    except (StreamtagError, CorruptFrame, cv2.error, OSError) as error:
        parent.send(f"{picture.out}: {in_words(error)}")


def _draw_video(reader: Reader, picture: Picture) -> None:
    opened = reader.opened
    writer = open_video(Path(picture.out), opened.width, opened.height, opened.fps or 25.0)
    for planned in reader.frames():  # by the numbers and times that they had when they were classified
        with suppress(CorruptFrame):
            writer.write(_drawn(reader.retrieve(), picture, planned.index), planned.pts_s)
    writer.close()


def _write(path: Path, picture: np.ndarray) -> None:
    suffix = path.suffix.lower() or ".jpg"
    ok, content = cv2.imencode(suffix, picture)
    if not ok:
        raise StreamtagError(f"OpenCV cannot write {suffix} files")
    path.write_bytes(content.tobytes())


def _drawn(frame: Pixels, picture: Picture, index: int) -> np.ndarray:
    """A copy of a frame with what there is to say about each of its areas."""
    drawn = as_bgr(frame).copy()
    for area in picture.areas:
        part = drawn if area.region is None else cut(drawn, area.region)
        part[:] = draw_caption(part, area.text(index), picture.fonts)
    for area in picture.areas:
        if area.region is not None:
            part = cut(drawn, area.region)
            height, width = part.shape[:2]
            thick = max(1, min(drawn.shape[:2]) // 240)
            cv2.rectangle(part, (0, 0), (width - 1, height - 1), BORDER, 2 * thick)  # the outer half is cut off
    return drawn


def draw_caption(picture: np.ndarray, text: str, fonts: tuple[Font, ...] = ()) -> np.ndarray:
    """A copy of the picture with the text on a dark band at its lower left, legible at any size.

    Args:
        picture: (h, w, 3) uint8 BGR.
        text: lines to draw; nothing is drawn for an empty one.
        fonts: for the letters outside ASCII.
    """
    if not text:
        return picture
    height, width = picture.shape[:2]
    points = max(10, min(height, width) // 18)
    lines = [_runs(line, fonts) for line in text.split("\n")]
    while _width(lines, points) > width * 0.96 - points and points > 6:
        points -= 1
    image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    draw = ImageDraw.Draw(image, "RGBA")
    margin, spacing = points // 2, round(points * 1.35)
    top = height - spacing * len(lines) - margin
    draw.rectangle((0, top, _width(lines, points) + 2 * margin, height), fill=(0, 0, 0, 170))
    for number, runs in enumerate(lines):
        x, baseline = float(margin), top + margin // 2 + number * spacing + points
        for run, font in runs:
            # Scripts that join or stack their letters are shaped by Pillow (Raqm); "ls" is the left of the baseline.
            draw.text((x, baseline), run, font=_font(font, points), fill=(255, 255, 255, 255), anchor="ls")
            x += _font(font, points).getlength(run)
    return np.asarray(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))


_Run = tuple[str, Font | None]  # letters of one font; None is Pillow's own


def _runs(line: str, fonts: tuple[Font, ...]) -> list[_Run]:
    """A line cut where the font must change. Spaces stay with what comes before them."""
    runs: list[_Run] = []
    for sign in line:
        font = None if ord(sign) <= 0x7E else next((font for font in fonts if font.has(sign)), None)
        if runs and (sign.isspace() or font is runs[-1][1]):
            runs[-1] = (runs[-1][0] + sign, runs[-1][1])
        else:
            runs.append((sign, font))
    return runs


def _width(lines: list[list[_Run]], points: int) -> float:
    return max(sum(_font(font, points).getlength(run) for run, font in runs) for runs in lines)


@functools.cache
def _font(font: Font | None, points: int) -> ImageFont.FreeTypeFont:
    found = ImageFont.load_default(points) if font is None else ImageFont.truetype(font.path, points, font.index)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise StreamtagError("this Pillow was built without FreeType; install Pillow from PyPI")
    return found

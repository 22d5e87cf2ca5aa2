"""A contact sheet of what was seen: a frame of each segment, the label that was shown, and whether it is right."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streamtag.errors import StreamtagError
from streamtag.tools.demo.clips import Verdict
from streamtag.tools.demo.drawing import NOTHING

COLUMNS = 4
CELL = (320, 180)  # width, height of a frame, pixels
STRIP = 48  # height of the words below a frame
GAP = 10
HEAD = 44
_PAPER, _INK, _FAINT = (24, 26, 30), (240, 240, 240), (165, 170, 178)
_RIGHT, _WRONG = (76, 190, 110), (235, 90, 80)


def draw_contact_sheet(path: Path, clip: Path, verdicts: Sequence[Verdict], heading: str) -> None:
    """Write the sheet as a PNG, whole or not at all.

    Args:
        clip: the file that was played, which was written here.
        heading: the line above.

    Raises:
        StreamtagError: it cannot be written.
    """
    rows = -(-len(verdicts) // COLUMNS)
    columns = min(COLUMNS, len(verdicts))
    size = (columns * (CELL[0] + GAP) + GAP, HEAD + rows * (CELL[1] + STRIP + GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP + 4, HEAD // 2), heading, fill=_INK, font=ImageFont.load_default(18), anchor="lm")
    frames = _frames(clip, {verdict.frame for verdict in verdicts})
    for place, verdict in enumerate(verdicts):
        left = GAP + place % COLUMNS * (CELL[0] + GAP)
        top = HEAD + place // COLUMNS * (CELL[1] + STRIP + GAP)
        frame = frames.get(verdict.frame)
        if frame is not None:
            sheet.paste(Image.fromarray(frame), (left, top))
        _write_words(draw, left, top + CELL[1], verdict)
    _save(sheet, path)


def _write_words(draw: ImageDraw.ImageDraw, left: int, top: int, verdict: Verdict) -> None:
    colour = _RIGHT if verdict.is_right else _WRONG
    draw.rectangle((left, top, left + CELL[0] - 1, top + 3), fill=colour)
    draw.text((left + 4, top + 18), words(verdict), fill=_INK, font=ImageFont.load_default(16), anchor="lm")
    mark = "right" if verdict.is_right else "wrong"
    draw.text((left + CELL[0] - 4, top + 18), mark, fill=colour, font=ImageFont.load_default(16), anchor="rm")
    segment = verdict.segment
    truth = f"{segment.start_s:.1f} to {segment.end_s:.1f} s: {segment.name}"
    draw.text((left + 4, top + 37), truth, fill=_FAINT, font=ImageFont.load_default(13), anchor="lm")


def words(verdict: Verdict) -> str:
    """The label and its score, or that there was none."""
    return "no label" if verdict.label in (NOTHING, "") else f"{verdict.label.replace('_', ' ')}  {verdict.score:.2f}"


def _frames(clip: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """Frames of a clip that we wrote ourselves, small, RGB; which is why it may be decoded in this process."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    found = {}
    for index in range(max(wanted, default=-1) + 1):
        if not capture.grab():
            break
        if index in wanted:
            picture = cv2.resize(capture.retrieve()[1], CELL, interpolation=cv2.INTER_AREA)
            found[index] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    capture.release()
    return found


def _save(sheet: Image.Image, path: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as part:
            try:
                sheet.save(part, "PNG", optimize=True)
                os.fchmod(part.fileno(), 0o644)
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StreamtagError(f"{path}: the contact sheet cannot be written: {error.strerror}") from None

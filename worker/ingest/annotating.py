"""Drawing labels on a copy of a picture or video. Decodes, so it runs in a process of its own."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worker.errors import StreamtagError
from worker.ingest.decoder import settle
from worker.ingest.opening import CorruptFrame, ErrorLog, VideoReader, read_image
from worker.ingest.policy import allowed
from worker.records import SourceKind, source_kind
from worker.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class Caption:
    """Text that is shown from a frame on."""

    index: int  # frame, in decode order
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw where."""

    source: str
    out: str
    captions: tuple[Caption, ...]  # in order of their frames
    settings: SourceSettings


def annotate(picture: Picture, context: ForkServerContext) -> str:
    """Draw in a process of its own; the answer says what went wrong, or is empty."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(picture, theirs), daemon=True)
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


def _main(picture: Picture, parent: Connection) -> None:
    settle(picture.settings)
    log = ErrorLog()
    try:
        kind = source_kind(picture.source)
        if kind is SourceKind.IMAGE:
            drawn = draw_caption(
                read_image(Path(picture.source), picture.settings.max_pixels), picture.captions[0].text
            )
            _write(Path(picture.out), drawn)
        else:
            source = allowed(picture.source, picture.settings)
            _draw_video(VideoReader(source, kind, picture.settings, False, log), picture)
        parent.send("")
    except (StreamtagError, CorruptFrame, cv2.error, OSError) as error:
        parent.send(f"{picture.out}: {error}")


def _draw_video(reader: VideoReader, picture: Picture) -> None:
    opened = reader.opened
    size = (opened.width, opened.height)
    writer = cv2.VideoWriter(picture.out, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), opened.fps or 25.0, size)
    if not writer.isOpened():
        raise StreamtagError("cannot be written; use a name that ends in .mp4, in a folder that is there")
    starts = [caption.index for caption in picture.captions]
    index = 0
    while reader.grab():
        at = bisect.bisect_right(starts, index) - 1
        frame = reader.retrieve()
        writer.write(draw_caption(frame, picture.captions[at].text) if at >= 0 else frame)
        index += 1
    writer.release()


def _write(path: Path, picture: np.ndarray) -> None:
    suffix = path.suffix.lower() or ".jpg"
    ok, content = cv2.imencode(suffix, picture)
    if not ok:
        raise StreamtagError(f"OpenCV cannot write {suffix} files")
    path.write_bytes(content.tobytes())


def draw_caption(picture: np.ndarray, text: str) -> np.ndarray:
    """A copy of the picture with the text on a dark band at its lower left, legible at any size.

    Args:
        picture: (h, w, 3) uint8 BGR.
        text: lines to draw; nothing is drawn for an empty one.
    """
    if not text:
        return picture
    height, width = picture.shape[:2]
    points = max(10, min(height, width) // 18)
    image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    draw = ImageDraw.Draw(image, "RGBA")
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=_font(points))
    while right - left > width * 0.96 and points > 6:
        points -= 1
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=_font(points))
    margin = points // 2
    y = height - (bottom - top) - 2 * margin
    draw.rectangle((0, y, right - left + 2 * margin, height), fill=(0, 0, 0, 170))
    draw.multiline_text((margin - left, y + margin - top), text, font=_font(points), fill=(255, 255, 255, 255))
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)


_fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if points not in _fonts:
        _fonts[points] = ImageFont.load_default(points)
    return _fonts[points]

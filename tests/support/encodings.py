"""Films of every encoding, drawn and encoded, and copied without being encoded anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

FRAMES = 120
CUT = 37  # frames from one cut to the next, of which the encoder makes key frames
SIZE = (320, 180)


@dataclass(frozen=True)
class Encoding:
    """How a film is made."""

    name: str
    options: dict[str, str]
    codec: str = "libx264"
    pixels: str = "yuv420p"
    muxer: dict[str, str] = field(default_factory=dict)
    step: tuple[int, int] = (40, 40)  # milliseconds between frames, of each half


def pictures() -> Iterator[np.ndarray]:
    width, height = SIZE
    grain = np.random.default_rng(1).integers(0, 256, (height, width + 400, 3), np.uint8)
    grain = cv2.GaussianBlur(grain, (0, 0), 2)
    for number in range(FRAMES):
        cut = number // CUT * 97
        left = (cut + 3 * number) % 400
        picture = grain[:, left : left + width].copy()
        picture[40:80, 2 * number : 2 * number + 40] = (20, 200, 250)
        yield picture


def encode(path: Path, encoding: Encoding, pictures: list[np.ndarray]) -> None:
    options = {"preset": "ultrafast" if encoding.codec == "libx265" else "veryfast"} | encoding.options
    with av.open(str(path), "w", options=encoding.muxer) as container:
        stream = container.add_stream(encoding.codec, Fraction(25), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = encoding.pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        pts = 0
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            pts += encoding.step[number * 2 // len(pictures)]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def copy_packets(
    source: Path, target: Path, change: Callable[[Packet[VideoStream]], Packet[Any]], turn: int = 0
) -> None:
    with av.open(str(source)) as container, av.open(str(target), "w") as written:
        stream = container.streams.video[0]
        copied = written.add_stream_from_template(stream)
        if turn:
            copied.set_display_rotation(turn)
        for packet in container.demux(stream):
            if packet.size:
                changed = change(packet)
                changed.stream = copied
                written.mux(changed)

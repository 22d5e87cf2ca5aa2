"""Labels are drawn into the frames that they were found in."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet
from av.video.stream import VideoStream
from streamtag.ingest.session import forkserver
from streamtag.settings import SourceSettings
from streamtag.tools.drawing.annotating import Area, Caption, Picture, annotate

from tests.support.encodings import FRAMES, SIZE, Encoding, copy_packets, encode, pictures

NAMED = 70  # the frame from which on there is a caption


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    encode(path, Encoding("film.mp4", {"g": "25", "bf": "0"}), list(pictures()))
    return path


def _captioned(film: Path, out: Path) -> list[float | None]:
    """Times of the frames that have a caption, in seconds."""
    area = Area(None, "", (Caption(NAMED, "seen"),))
    assert annotate(Picture(str(film), str(out), (area,), SourceSettings()), forkserver()) == ""
    bare = out.with_stem("bare")
    assert annotate(Picture(str(film), str(bare), (), SourceSettings()), forkserver()) == ""
    with av.open(str(out)) as drawn, av.open(str(bare)) as without:
        return [
            one.time
            for one, other in zip(drawn.decode(video=0), without.decode(video=0), strict=True)
            if np.abs(one.to_ndarray(format="gray").astype(int) - other.to_ndarray(format="gray")).max() > 60
        ]


@pytest.mark.parametrize("missing", [0, 10], ids=["whole", "without its first key frame"])
def test_a_caption_begins_at_its_frame_also_where_some_cannot_be_decoded(
    film: Path, tmp_path: Path, missing: int
) -> None:
    """Frames before the first key frame are counted where the film is classified."""
    path, numbers = tmp_path / "cut.mp4", itertools.count()

    def spoilt(packet: Packet[VideoStream]) -> Packet[Any]:
        if next(numbers) >= missing:
            return packet
        other: Packet[Any] = Packet(bytes(packet.size))
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
        return other

    copy_packets(film, path, spoilt)
    times = _captioned(path, tmp_path / "drawn.mp4")
    assert times[0] == pytest.approx(NAMED * 0.04, abs=0.001)
    assert len(times) == FRAMES - NAMED


def test_a_film_that_lies_on_its_side_is_drawn_upright(film: Path, tmp_path: Path) -> None:
    copy_packets(film, tmp_path / "turned.mp4", lambda packet: packet, turn=90)
    out = tmp_path / "drawn.mp4"
    _captioned(tmp_path / "turned.mp4", out)
    ok, frame = cv2.VideoCapture(str(out)).read()
    assert ok
    assert frame.shape == (SIZE[0], SIZE[1], 3)

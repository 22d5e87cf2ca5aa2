"""Films of codecs and containers that are read by OpenCV, or by PyAV in its place: the right frames at their times."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.core.stream_state import OutcomeKind

from tests.support.stream_reading import Heard, read
from tests.support.web import served

FRAMES, KEYS = 50, 20  # of these there are a key frame each
SIDE, STEP = 128, 2  # pixels; so much wider is the white bar with each frame
ALL_OF_IT = Preprocessing(SIDE, crop="squash")


def _write(path: Path, codec: str, pixels: str = "yuv420p", times: Iterable[int] = (), **options: str) -> Path:
    """A film of 25 frames a second whose pictures have a bar that becomes wider with each frame.

    Args:
        times: of each frame, in frames; one after the other where there are none.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, Fraction(25), options={"g": str(KEYS)} | options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, pixels
        for number, pts in enumerate(times or range(FRAMES)):
            picture = np.zeros((SIDE, SIDE, 3), np.uint8)
            picture[:, : STEP * (number + 1)] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _numbers(pictures: Iterable[np.ndarray]) -> list[int]:
    """Which pictures of the film these are, by how wide the bar is."""
    return [round(float((picture > 110).mean()) * SIDE / STEP) - 1 for picture in pictures]


def _read(source: Path | str, sampling: Sampling) -> Heard:
    found = read(source, sampling, preprocessing=ALL_OF_IT)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.reason, found.unclassified) == (OutcomeKind.ENDED, "", [])
    return found


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "film.obu"])
def test_samples_of_av1_are_its_pictures(tmp_path: Path, name: str) -> None:
    """OpenCV opens them and gives none: jobs ended without a sample, and of some nothing told of it."""
    path = _write(tmp_path / name, "libsvtav1", preset="10")
    with served(tmp_path) as web:
        for source in (path, f"{web.url}/{name}"):
            found = _read(source, Sampling(every=3))
            assert _numbers(found.pictures) == [one.index for one in found.samples] == list(range(0, FRAMES, 3))
            assert [one.pts_s for one in found.samples] == pytest.approx([at / 25 for at in range(0, FRAMES, 3)])
    keys = _read(path, Sampling(keyframes=True))
    assert _numbers(keys.pictures) == list(range(0, FRAMES, KEYS))

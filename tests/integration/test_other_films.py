"""Films of codecs and containers that are read by OpenCV, or by PyAV in its place: the right frames at their times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.core.stream_state import OutcomeKind

from tests.support.stream_reading import Heard, read
from tests.support.waiting import LIMIT_S
from tests.support.web import served

FRAMES, KEYS = 50, 20  # of these there are a key frame each
SIDE, STEP = 128, 2  # pixels; so much wider is the white bar with each frame
ALL_OF_IT = Preprocessing(SIDE, crop="squash")


def _write(path: Path, codec: str, times_ms: Sequence[int] = (), **options: str) -> Path:
    """A film whose pictures have a bar that becomes wider with each frame.

    Args:
        times_ms: of the frames; 25 a second where it is empty.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, Fraction(25), options={"g": str(KEYS)} | options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pts in enumerate(times_ms or range(0, FRAMES * 40, 40)):
            picture = np.zeros((SIDE, SIDE, 3), np.uint8)
            picture[:, : STEP * (number + 1)] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
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
    path = tmp_path / name
    # In a process of its own: as root the encoder puts the one that it is in before all others (SCHED_FIFO).
    encoder = get_context("spawn").Process(target=_write, args=(path, "libsvtav1"), kwargs={"preset": "10"})
    encoder.start()
    encoder.join(LIMIT_S)
    assert encoder.exitcode == 0
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with served(tmp_path) as web:
        for source in (path, f"{web.url}/{name}"):
            found = _read(source, Sampling(every=3))
            assert _numbers(found.pictures) == [one.index for one in found.samples] == list(range(0, FRAMES, 3))
            assert [one.pts_s for one in found.samples] == pytest.approx([at / 25 for at in range(0, FRAMES, 3)])
    keys = _read(path, Sampling(keyframes=True))
    assert _numbers(keys.pictures) == list(range(0, FRAMES, KEYS))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.avi", "libx264", {"bf": "2", "flags": "+cgop"}),
        ("other.avi", "mpeg4", {"bf": "2", "b": "4M"}),
        ("film.mpg", "mpeg2video", {"bf": "2", "b": "4M"}),
        ("film.m2v", "mpeg2video", {"bf": "2", "b": "4M"}),
        ("film.webm", "libvpx-vp9", {"lag-in-frames": "16", "cpu-used": "8", "b": "1M"}),
        ("film.mkv", "ffv1", {}),
    ],
)
def test_samples_and_key_frames_are_at_their_own_times(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """OpenCV gave key frames at the times of those at which the codec let them out, and of VP9 and FFV1 all frames.

    In AVI all was late by the frames that the codec holds back, and said to have jumped at its end.
    """
    path = _write(tmp_path / name, codec, (), **options)
    found = _read(path, Sampling(every=1))
    assert _numbers(found.pictures) == list(range(FRAMES))
    assert [one.pts_s for one in found.samples] == pytest.approx([at / 25 for at in range(FRAMES)], abs=0.002)
    with served(tmp_path) as web:
        for source in (path, f"{web.url}/{name}"):
            keys = _read(source, Sampling(keyframes=True))
            assert [one.pts_s * 25 for one in keys.samples] == pytest.approx(_numbers(keys.pictures), abs=0.05)
            assert 2 < len(keys.samples) < 6


def test_frames_without_times_are_said_to_be_counted(tmp_path: Path) -> None:
    """As of a bare codec: their times were said to have jumped, each of them, and its key frames were a frame apart."""
    path = _write(tmp_path / "film.h264", "libx264", flags="+cgop")
    found = read(path, Sampling(every=1), preprocessing=ALL_OF_IT)
    assert [one.pts_s for one in found.samples] == pytest.approx([at / 25 for at in range(FRAMES)])
    assert found.outcome is not None
    assert "frames without times" in found.outcome.reason
    assert "jumped" not in found.outcome.reason
    keys = read(path, Sampling(keyframes=True), preprocessing=ALL_OF_IT)
    assert [one.pts_s * 25 for one in keys.samples] == pytest.approx(_numbers(keys.pictures))
    assert keys.outcome is not None
    assert "key frames without times" in keys.outcome.reason


@pytest.mark.parametrize(("name", "codec"), [("film.mkv", "libx264"), ("film.flv", "libx264"), ("film.webm", "libvpx")])
def test_a_film_whose_rate_varies_is_not_called_incomplete(tmp_path: Path, name: str, codec: str) -> None:
    """How many frames there are is guessed by the rate of the first ones."""
    times_ms = [*range(0, 400, 20), *range(400, 4000, 120)]
    found = _read(_write(tmp_path / name, codec, times_ms, bf="0"), Sampling(every=1))
    assert [one.pts_s * 1000 for one in found.samples] == pytest.approx(times_ms, abs=1)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    cut = read(tmp_path / name, Sampling(every=1)).outcome
    assert cut is not None
    assert "damaged or incomplete" in cut.reason


@pytest.mark.parametrize("name", ["film.gif", "film.png", "film.webp", "film.avif"])
def test_of_an_animated_picture_the_first_frame_is_looked_at_and_that_is_said(tmp_path: Path, name: str) -> None:
    one, two = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    one.save(tmp_path / name, save_all=True, append_images=[two])
    one.save(tmp_path / "still.png")
    with served(tmp_path) as web:
        for source in (tmp_path / name, f"{web.url}/{name}", f"{tmp_path}/"):
            found = read(source)
            assert found.outcome is not None
            assert found.outcome.reason == "animated pictures, of which only the first frame was looked at: 1"
        still = read(f"{web.url}/still.png").outcome
        assert still is not None
        assert still.reason == ""

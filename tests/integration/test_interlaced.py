"""Interlaced films and streams, as of broadcasts, DVDs and camcorders: OpenCV gives what its memory held before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.video.stream import VideoStream
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.core.stream_state import OutcomeKind
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.interlaced import Capture, Decoded
from streamtag.ingest.readers import CorruptFrame
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support.hls import LivePlaylist
from tests.support.stream_reading import Heard, read
from tests.support.web import served

FRAMES, EVERY = 50, 4
SIDE, STEP = 120, 2  # pixels; so much wider is the white bar with each frame
ALL_OF_IT = Preprocessing(SIDE, crop="squash")


def write(path: Path, codec: str, seconds: float = FRAMES / 25, **muxer: str) -> Path:
    """A film whose pictures have a bar that becomes wider with each frame, and is narrow again after two seconds."""
    options = {"x264-params": "interlaced=1:tff=1:keyint=25"} if codec == "libx264" else {"g": "25"}
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, 25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        if codec != "libx264":
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for number in range(round(25 * seconds)):
            picture = np.zeros((SIDE, SIDE, 3), np.uint8)
            picture[:, : STEP * (number % FRAMES)] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    return path


def numbers(pictures: Iterable[np.ndarray]) -> list[int]:
    """Which pictures of the film these are, by how wide the bar is."""
    return [round(float((picture > 110).mean()) * SIDE / STEP) for picture in pictures]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("broadcast.ts", "mpeg2video"),
        ("broadcast-hd.ts", "libx264"),
        ("camcorder.mp4", "libx264"),
        ("dvd.mpg", "mpeg2video"),
        ("old.avi", "mpeg4"),
    ],
)
def test_samples_of_an_interlaced_film_are_its_pictures(tmp_path: Path, name: str, codec: str) -> None:
    found = read(write(tmp_path / name, codec), Sampling(every=EVERY), preprocessing=ALL_OF_IT)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded) == (OutcomeKind.ENDED, FRAMES)
    assert numbers(found.pictures) == [one.index for one in found.samples] == list(range(0, FRAMES, EVERY))
    if codec != "mpeg2video":  # whose frames do not all have a time in a program stream
        assert [one.pts_s for one in found.samples] == pytest.approx([index / 25 for index in range(0, FRAMES, EVERY)])
    rest = read(tmp_path / name, Sampling(every=EVERY), preprocessing=ALL_OF_IT, resume=found.samples[5])
    assert numbers(rest.pictures) == numbers(found.pictures)[6:]


def test_key_frames_of_an_interlaced_film_are_its_pictures(tmp_path: Path) -> None:
    found = read(write(tmp_path / "broadcast.ts", "mpeg2video"), Sampling(keyframes=True), preprocessing=ALL_OF_IT)
    assert numbers(found.pictures) == [0, 25]


def test_an_interlaced_film_of_a_web_server_is_read_likewise(tmp_path: Path) -> None:
    write(tmp_path / "broadcast.ts", "mpeg2video")
    with served(tmp_path) as web:
        found = read(f"{web.url}/broadcast.ts", Sampling(every=EVERY), preprocessing=ALL_OF_IT)
    assert numbers(found.pictures) == list(range(0, FRAMES, EVERY))


def test_an_interlaced_live_stream_goes_on_with_what_comes(tmp_path: Path) -> None:
    playlist = write(tmp_path / "index.m3u8", "mpeg2video", 40.0, hls_time="1", hls_playlist_type="vod")

    def stop_with_samples(stream: Stream, heard: Heard) -> None:
        if len(heard.samples) > 12:
            stream.stop()

    with served(tmp_path) as web, LivePlaylist(playlist):
        settings = SourceSettings(backoff_s=0.05, attempts=2)
        found = read(
            f"{web.url}/live.m3u8",
            Sampling(fps=5),
            settings,
            live=True,
            meddle=stop_with_samples,
            preprocessing=ALL_OF_IT,
        )
    assert found.unclassified == []
    told = numbers(found.pictures)
    steps = {(after - before) % FRAMES for before, after in pairwise(told)}
    assert steps <= {4, 5, 6}, told


def test_where_pyav_cannot_take_over_it_is_not_tried_again_at_each_picture(tmp_path: Path) -> None:
    tried: list[int] = []

    class Log(ErrorLog):
        def __init__(self) -> None:
            """Leaves the outputs of this process alone."""

        def listen_for(self, words: bytes) -> Callable[[], int]:
            return lambda: 1

    def open_again() -> Decoded:
        tried.append(1)
        raise av.FFmpegError(5, "it is gone")

    capture = Capture(str(write(tmp_path / "broadcast.ts", "mpeg2video")), [], Log(), open_again)
    for _ in range(3):
        assert capture.grab()
        with pytest.raises(CorruptFrame, match="cannot be opened by PyAV"):
            capture.retrieve()
    capture.release()
    assert len(tried) == 1

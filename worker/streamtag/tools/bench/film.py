"""A film that is drawn, for benches that are given none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from streamtag.errors import StreamtagError

FPS = 25
WIDTH, HEIGHT = 1920, 1080
_DRIFT_PX = 512


@contextmanager
def given_or_drawn(film: Path | None, seconds: float) -> Iterator[Path]:
    """A film that is there, or one of so many seconds that is gone afterwards: 1080p H.264, a key frame each second.

    Raises:
        StreamtagError: there is no such file.
    """
    if film is not None:
        if not film.is_file():
            raise StreamtagError(f"{film}: no such file")
        yield film
        return
    with TemporaryDirectory(prefix="streamtag-") as folder:
        drawn = Path(folder) / "film.mp4"
        draw(drawn, seconds)
        yield drawn


def draw(
    path: Path, seconds: float, size: tuple[int, int] = (WIDTH, HEIGHT), fps: int = FPS, b_frames: bool = True
) -> None:
    """Grain that drifts, and a bright square that crosses it; the suffix of the path is the container.

    Args:
        size: width and height, pixels.
    """
    width, height = size
    generator = np.random.default_rng(0)
    grain = cv2.GaussianBlur(generator.integers(0, 256, (height, width + _DRIFT_PX, 3), np.uint8), (0, 0), 3.0)
    side = height // 5
    # Without frames that refer to later ones, as cameras encode.
    options = {"preset": "veryfast", "g": str(fps)} | ({} if b_frames else {"bf": "0"})
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", Fraction(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(seconds * fps)):
            frame = grain[:, number % _DRIFT_PX : number % _DRIFT_PX + width].copy()
            left = number * 11 % (width - side)
            frame[2 * side : 3 * side, left : left + side] = (40, 200, 240)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))

